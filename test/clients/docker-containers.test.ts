// Docker's client on containers that run: exec, cp, logs, events, states.
import { beforeAll, describe } from 'vitest';
import { dockerShell, whyNoDockerClient } from '../helpers/docker-client.ts';

const UP = 'sh -c \'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done\'';

describe.skipIf(whyNoDockerClient())("docker's client works on containers", () => {
  const { checks, ok } = dockerShell();

  describe('exec', () => {
    beforeAll(() => ok(`docker run -d --name up -e FROM=container -w /tmp -l role=test box ${UP}`));
    checks([
      ['shows output', 'docker exec up echo hi', 'hi'],
      ['passes stdin', 'echo through | docker exec -i up cat', 'through'],
      ['keeps the streams apart', 'docker exec up sh -c "echo out; echo err >&2"', { out: 'out', err: 'err' }],
      ['ends with the status', 'docker exec up sh -c "exit 7"', { status: 7 }],
      [
        'ends with 127 for no such program',
        'docker exec up absent 2>&1',
        { status: 127, out: /executable file not found in \$PATH/ },
      ],
      ['ends with 126 for no program', 'docker exec up /etc/passwd 2>&1', { status: 126, out: /permission denied/ }],
      [
        'ends with 126 for no such user',
        'docker exec -u ghost up id 2>&1',
        { status: 126, out: /unable to find user ghost: no matching entries in passwd file/ },
      ],
      ['ends with 137 after SIGKILL', "docker exec up sh -c 'kill -9 $$'", { status: 137 }],
      ['takes environment and directory of the container', "docker exec up sh -c 'echo $FROM $PWD'", 'container /tmp'],
      ['-e, -w', "docker exec -e FROM=exec -w /root up sh -c 'echo $FROM $PWD'", 'exec /root'],
      ['--env-file', "echo A=file > env; docker exec --env-file env up sh -c 'echo $A'", 'file'],
      ['-u', 'docker exec -u user up id -un', 'user'],
      ['-u by number', 'docker exec -u 12:34 up id', /^uid=12 gid=34/],
      [
        '--privileged',
        'docker exec --privileged up sh -c "mount -t tmpfs none /home && echo mounted; umount /home"',
        'mounted',
      ],
      [
        'has no more capabilities than the container',
        'docker exec up grep CapEff /proc/self/status',
        'CapEff:\t00000000a80425fb',
      ],
      [
        '-d',
        'docker exec -d up sh -c "echo later > /tmp/later"; docker exec up sh -c "until test -s /tmp/later; do sleep 0.05; done; cat /tmp/later"',
        'later',
      ],
      ['-it', 'script -qec "docker exec -it up tty" /dev/null', /\/dev\/pts\/0\r/],
      [
        'in what is not running',
        'docker create --name resting box >&2; docker exec resting true',
        { status: 1, err: /container [0-9a-f]{64} is not running/i },
      ],
      [
        'in nobody',
        'docker exec ghost true',
        { status: 1, err: 'Error response from daemon: No such container: ghost' },
      ],
      [
        'in what is paused',
        'docker pause up; docker exec up true',
        { status: 1, err: /Container \S+ is paused, unpause the container before exec/i },
      ],
      ['after unpause', 'docker unpause up; docker exec up echo again', 'up\nagain'],
    ]);
  });

  describe('cp', () => {
    checks([
      ['into a container', 'echo in > file; docker cp file up:/root/; docker exec up cat /root/file', 'in'],
      ['out of a container', 'docker cp up:/root/file got; cat got', 'in'],
      ['under another name', 'docker cp file up:/root/other; docker exec up ls /root', 'file\nother'],
      ['a directory', 'mkdir -p d/e; echo deep > d/e/f; docker cp d up:/root/; docker exec up cat /root/d/e/f', 'deep'],
      [
        "a directory's content",
        'docker cp d/. up:/root/here 2>/dev/null || { docker exec up mkdir /root/here; docker cp d/. up:/root/here; }; docker exec up find /root/here',
        '/root/here\n/root/here/e\n/root/here/e/f',
      ],
      ['through standard output', 'docker cp up:/root/d - | tar t', 'd/\nd/e/\nd/e/f'],
      ['through standard input', 'tar c file | docker cp - up:/tmp; docker exec up cat /tmp/file', 'in'],
      ['from one that rests', 'docker cp resting:/etc/passwd - | tar xO | head -1', 'root:x:0:0:root:/root:/bin/sh'],
      ['into one that rests', 'docker cp file resting:/etc/file; docker cp resting:/etc/file - | tar xO', 'in'],
      [
        'a link and what it names',
        'docker exec up busybox ln -s file /root/link; docker cp up:/root/link l; docker cp -L up:/root/link m; readlink l; cat m',
        'file\nin',
      ],
      [
        'what is not there',
        'docker cp up:/nothing .',
        { status: 1, err: /Could not find the file \/nothing in container up/ },
      ],
      [
        'to where nothing is',
        'docker cp file up:/no/such/place',
        { status: 1, err: /no such file or directory|Could not find the file|no such directory/i },
      ],
      [
        'with owners',
        'chown 1000:1000 file; docker cp -a file up:/root/owned; docker exec up stat -c %u:%g /root/owned',
        '1000:1000',
      ],
    ]);
  });

  describe('logs', () => {
    beforeAll(async () => {
      await ok("docker run --name said box sh -c 'echo one; echo two >&2; sleep 1.2; echo three'");
    });
    checks([
      ['both streams', 'docker logs said', { out: 'one\nthree', err: 'two' }],
      ['--tail', 'docker logs --tail 1 said', { out: 'three', err: '' }],
      ['--tail 0', 'docker logs --tail 0 said', ''],
      ['-t', 'docker logs -t said 2>/dev/null', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one\n/],
      [
        '--since a time',
        'docker logs --since $(docker logs -t said 2>/dev/null | tail -1 | cut -d" " -f1) said',
        { out: 'three', err: '' },
      ],
      [
        '--until a time',
        'docker logs --until $(docker logs -t said 2>/dev/null | head -1 | cut -d" " -f1) said',
        { out: 'one', err: '' },
      ],
      ['--since a duration', 'docker logs --since 1h said 2>&1 | sort', 'one\nthree\ntwo'],
      [
        '-f ends with the container',
        "docker run -d --name says box sh -c 'echo a; sleep 0.5; echo b' >&2; docker logs -f says",
        'a\nb',
      ],
      ['-f --tail', 'docker restart says >&2; docker logs -f --tail 1 says', /b$/],
      [
        'over files that are compressed',
        `docker run --name packed --log-opt max-size=20k --log-opt max-file=30 --log-opt compress=true box seq 5000 >/dev/null
docker logs packed | cksum; seq 5000 | cksum; docker logs -n 1 packed`,
        /^(.+)\n\1\n5000$/,
      ],
      ['of nobody', 'docker logs ghost', { status: 1, err: 'Error response from daemon: No such container: ghost' }],
      [
        'of a driver that keeps none',
        'docker run --name mute --log-driver none box echo lost >&2; docker logs mute',
        { status: 1, err: /configured logging driver does not support reading/i },
      ],
    ]);
  });

  describe('states', () => {
    checks([
      ['rename', 'docker rename up high; docker ps --format "{{.Names}}"', 'high'],
      [
        'rename to a taken name',
        'docker rename high said',
        { status: 1, err: /Conflict\. The container name "\/said" is already in use by container/ },
      ],
      ['pause', 'docker pause high; docker ps --format "{{.Status}}"', /^high\nUp .* \(Paused\)$/],
      ['pause twice', 'docker pause high', { status: 1, err: /Container \S+ is already paused/ }],
      ['unpause', 'docker unpause high; docker inspect -f "{{.State.Status}}" high', 'high\nrunning'],
      ['unpause twice', 'docker unpause high', { status: 1, err: /Container \S+ is not paused/ }],
      ['pause of what rests', 'docker pause said', { status: 1, err: /Container \S+ is not running/ }],
      ['top', 'docker top high', /^UID +PID +PPID +C +STIME +TTY +TIME +CMD\n(root|0) +\d+/],
      ['top with options of ps', 'docker top high -o pid,args', /^PID +COMMAND\n\d+ +sh -c/],
      [
        'stats --no-stream',
        'docker stats --no-stream --format "{{.Name}} {{.MemUsage}} {{.PIDs}}" high',
        /^high [\d.]+[KM]iB \/ [\d.]+GiB \d+$/,
      ],
      ['kill with a signal', 'docker kill -s TERM high; docker wait high', 'high\n0'],
      [
        'an unknown signal',
        'docker start high >&2; docker kill -s NONSENSE high',
        { status: 1, err: /invalid signal: NONSENSE/i },
      ],
      ['stop', 'docker stop high; docker inspect -f "{{.State.ExitCode}} {{.State.Running}}" high', 'high\n0 false'],
      ['stop of what rests', 'docker stop high', 'high'],
      [
        'stop -t kills',
        'docker run -d --name deaf box sleep 60 >&2; docker stop -t 0 deaf; docker inspect -f "{{.State.ExitCode}}" deaf',
        'deaf\n137',
      ],
      ['stop with a signal', 'docker start deaf >&2; docker stop -s KILL -t 30 deaf; docker wait deaf', 'deaf\n137'],
      [
        'restart',
        'docker restart -t 0 high; docker inspect -f "{{.State.Running}} {{.RestartCount}}" high',
        'high\ntrue 0',
      ],
      ['rm of what runs', 'docker rm high', { status: 1, err: /container.* running.*stop the container before/i }],
      ['rm -f', 'docker rm -f high ghost', { out: 'high' }],
      ['rm of nobody', 'docker rm ghost', { status: 1, err: 'Error response from daemon: No such container: ghost' }],
      [
        'wait of several',
        'docker run -d --name three box sh -c "exit 3" >&2; docker run -d --name four box sh -c "exit 4" >&2; docker wait three four',
        '3\n4',
      ],
      [
        '--restart on-failure',
        'docker run -d --name fails --restart on-failure:2 box sh -c "exit 6" >&2; until test "$(docker inspect -f "{{.RestartCount}}{{.State.Status}}" fails)" = 2exited; do sleep 0.1; done; docker inspect -f "{{.State.ExitCode}}" fails',
        '6',
      ],
      [
        '--restart always',
        'docker run -d --name phoenix --restart always box sh -c "sleep 0.2; exit 0" >&2; until test "$(docker inspect -f "{{.RestartCount}}" phoenix)" -gt 1; do sleep 0.1; done; docker stop -t 0 phoenix; sleep 0.5; docker inspect -f "{{.State.Running}}" phoenix',
        'phoenix\nfalse',
      ],
      [
        '--health-cmd',
        'docker run -d --name well --health-cmd "test -e /ok" --health-interval 200ms --health-retries 2 box sleep 60 >&2; for wanted in unhealthy healthy; do until test "$(docker inspect -f "{{.State.Health.Status}}" well)" = $wanted; do sleep 0.1; done; echo $wanted; docker exec well touch /ok; done; docker ps --filter health=healthy --format "{{.Names}} {{.Status}}"',
        /^unhealthy\nhealthy\nwell Up .* \(healthy\)$/,
      ],
      [
        'container prune',
        'docker rm -f well >&2; docker container prune -f',
        /^Deleted Containers:\n([0-9a-f]{64}\n)+\nTotal reclaimed space: /,
      ],
    ]);
  });

  describe('events', () => {
    beforeAll(() =>
      ok(
        'docker run --name told -l kind=test box true && docker rm told && docker run --name other box true && docker rm other',
      ),
    );
    const events = 'docker events --since 0 --until $(date +%s.%N)';
    checks([
      [
        'of one container',
        `${events} --filter container=told --filter type=container --format "{{.Action}}"`,
        'create\nattach\nstart\ndie\ndestroy',
      ],
      [
        'of some kinds',
        `${events} --filter event=create --filter event=destroy --filter container=told --format "{{.Action}} {{.Actor.Attributes.image}}"`,
        'create box\ndestroy box',
      ],
      [
        'by label',
        `${events} --filter label=kind=test --filter event=die --format "{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}} {{.Actor.Attributes.kind}}"`,
        'told 0 test',
      ],
      [
        'as JSON',
        `${events} --filter container=told --filter event=start --format json`,
        /^\{"status":"start","id":"[0-9a-f]{64}","from":"box","Type":"container","Action":"start","Actor":\{"ID":"[0-9a-f]{64}","Attributes":\{/,
      ],
      [
        'as text',
        `${events} --filter container=told --filter event=die`,
        /^\d{4}-\S+Z container die [0-9a-f]{64} \((execDuration=\d+, )?exitCode=0, image=box, kind=test, name=told\)$/,
      ],
      [
        'while they come',
        'docker events --filter event=tag --format "{{.Type}} {{.Action}}" > seen & sleep 0.5; docker tag box tagged; until test -s seen; do sleep 0.05; done; kill $!; cat seen; docker rmi tagged >&2',
        'image tag',
      ],
      [
        'of exec',
        `${events} --filter event=exec_die --format "{{.Actor.Attributes.exitCode}}" | sort -u | head -2`,
        '0\n1',
      ],
    ]);
  });
});
