// Docker's client: run, create, start, attach and what a container gets from their flags.
import { describe } from 'vitest';
import { dockerShell, whyNoDockerClient } from '../helpers/docker-client.ts';

describe.skipIf(whyNoDockerClient())("docker's client runs containers", () => {
  const { checks } = dockerShell();

  describe('run', () => {
    checks([
      ['shows output', 'docker run --rm box echo hi', 'hi'],
      ['keeps the streams apart', 'docker run --rm box sh -c "echo out; echo err >&2"', { out: 'out', err: 'err' }],
      ['passes stdin', 'echo through | docker run --rm -i box cat', 'through'],
      ['ends with the status', 'docker run --rm box sh -c "exit 42"', { status: 42 }],
      [
        'ends with 127 for no such program',
        'docker run --rm box absent',
        { status: 127, err: /executable file not found/ },
      ],
      ['ends with 126 for no program', 'docker run --rm box /etc/passwd', { status: 126, err: /permission denied/ }],
      [
        'ends with 125 for its own failure',
        'docker run --rm --memory 1k box true',
        { status: 125, err: /inimum.* 6 ?Mi?B/ },
      ],
      ['ends with 137 after SIGKILL', 'docker run --rm --init box sh -c "kill -9 \\$\\$"', { status: 137 }],
      [
        '-d prints the id',
        'id=$(docker run -d box true) && docker inspect -f "{{.Id}}" $id | grep -c ^$id$; docker rm -f $id >&2',
        '1',
      ],
      ['-e from the shell', "A=mine docker run --rm -e A box sh -c 'echo $A'", 'mine'],
      ['--env-file', 'printf "B=2\\n# no\\n" > env; docker run --rm --env-file env box sh -c \'echo $B\'', '2'],
      ['-w makes the directory', 'docker run --rm -w /new/place box pwd', '/new/place'],
      ['-u by name', 'docker run --rm -u user box id', 'uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)'],
      [
        '-u by number, --group-add',
        'docker run --rm -u 5:6 --group-add extra box id',
        'uid=5 gid=6 groups=6,2000(extra)',
      ],
      [
        '-u that is not there',
        'docker run --rm -u ghost box id',
        { status: 125, err: /unable to find user ghost: no matching entries in passwd file/ },
      ],
      ['-h', 'docker run --rm -h name.example box hostname', 'name.example'],
      [
        '--hostname and --domainname',
        'docker run --rm -h name --domainname example.org box cat /proc/sys/kernel/domainname',
        'example.org',
      ],
      ['--entrypoint', 'docker run --rm --entrypoint echo box a b', 'a b'],
      ['--read-only', 'docker run --rm --read-only box touch /file', { status: 1, err: /Read-only file system/ }],
      [
        '--tmpfs',
        'docker run --rm --read-only --tmpfs /t:size=1m,mode=700 box sh -c "stat -c %a /t; grep -c \'/t tmpfs.*size=1024k\' /proc/mounts"',
        '700\n1',
      ],
      ['--init', 'docker run --rm --init box sh -c "cat /proc/1/comm"', /init/],
      ['--pid host', "docker run --rm --pid host box sh -c 'test $$ -gt 50 && echo shared'", 'shared'],
      ['--cap-drop', 'docker run --rm --cap-drop all box grep CapEff /proc/self/status', 'CapEff:\t0000000000000000'],
      [
        '--cap-add',
        'docker run --rm --cap-drop ALL --cap-add NET_ADMIN box grep CapEff /proc/self/status',
        'CapEff:\t0000000000001000',
      ],
      ['--privileged', 'docker run --rm --privileged box sh -c "mount -t tmpfs none /tmp && echo mounted"', 'mounted'],
      [
        '--security-opt no-new-privileges',
        'docker run --rm --security-opt no-new-privileges box grep NoNewPrivs /proc/self/status',
        'NoNewPrivs:\t1',
      ],
      [
        '--security-opt seccomp=unconfined',
        'docker run --rm --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status',
        'Seccomp:\t0',
      ],
      [
        '--sysctl',
        'docker run --rm --sysctl net.ipv4.ip_default_ttl=99 box cat /proc/sys/net/ipv4/ip_default_ttl',
        '99',
      ],
      ['--ulimit', 'docker run --rm --ulimit nofile=100:200 box sh -c "ulimit -n; ulimit -Hn"', '100\n200'],
      ['--shm-size', 'docker run --rm --shm-size 2m box df -k /dev/shm', /2048 /],
      [
        '--memory, as inspect has it',
        'docker create --name limited -m 64m --memory-reservation 32m --cpus 0.5 --pids-limit 50 --cpu-shares 512 box >&2 && docker inspect -f "{{with .HostConfig}}{{.Memory}} {{.MemoryReservation}} {{.NanoCpus}} {{.PidsLimit}} {{.CpuShares}}{{end}}" limited; docker rm limited >&2',
        '67108864 33554432 500000000 50 512',
      ],
      ['--device', 'docker run --rm --device /dev/null:/dev/mine:r box ls -l /dev/mine', /^crw.* 1, +3 .*\/dev\/mine$/],
      ['--add-host', 'docker run --rm --add-host db:10.1.2.3 box grep db /etc/hosts', /10\.1\.2\.3\s+db/],
      [
        '--add-host with host-gateway',
        'docker run --rm --add-host host:host-gateway box grep -w host /etc/hosts',
        /^\d+\.\d+\.\d+\.\d+\s+host$/m,
      ],
      [
        '--dns, --dns-search, --dns-option',
        'docker run --rm --dns 9.9.9.9 --dns-search example.org --dns-option ndots:2 box cat /etc/resolv.conf',
        /nameserver 9\.9\.9\.9[\s\S]*search example\.org[\s\S]*options ndots:2|search example\.org[\s\S]*nameserver 9\.9\.9\.9[\s\S]*options ndots:2/,
      ],
      ['--network none', 'docker run --rm --network none box ls /sys/class/net', 'lo'],
      [
        '--network host',
        'test "$(docker run --rm --network host box ls /sys/class/net)" = "$(ls /sys/class/net)" && echo same',
        'same',
      ],
      ['--cidfile', 'docker run --rm --cidfile id box true; wc -c < id; rm id', '64'],
      [
        '--label, --label-file',
        'printf "b=2\\n" > labels; docker create --name labelled -l a=1 --label-file labels box >&2; docker inspect -f "{{json .Config.Labels}}" labelled; docker rm labelled >&2',
        '{"a":"1","b":"2"}',
      ],
      [
        '--stop-signal, --stop-timeout',
        'docker create --name stops --stop-signal SIGINT --stop-timeout 3 box >&2; docker inspect -f "{{.Config.StopSignal}} {{.Config.StopTimeout}}" stops; docker rm stops >&2',
        'SIGINT 3',
      ],
      [
        'no image of another platform',
        'docker create --pull never --platform linux/s390x box true',
        { status: 1, err: /No such image|does not match the specified platform/i },
      ],
      [
        'devices that nobody here drives',
        'docker run --rm --gpus all box true',
        { status: 125, err: /HostConfig\.DeviceRequests|could not select device driver/ },
      ],
      ['no such log driver', 'docker run --rm --log-driver absent box true', { status: 125, err: /driver.*absent/i }],
      [
        'a network that is not there',
        'docker run --rm --network absent box true; docker ps -aq',
        { err: /network absent not found/i, out: '' },
      ],
      ['--pull never', 'docker run --rm --pull never nothere', { status: 125, err: /No such image: nothere:latest/ }],
      [
        'a bind that is not there with --mount',
        'docker run --rm --mount type=bind,src=/nothere,dst=/x box',
        { status: 125, err: /bind source path does not exist: \/nothere/ },
      ],
      [
        'a relative bind',
        'docker run --rm -v ./a:b box',
        { status: 125, err: /invalid volume specification|mount path must be absolute/ },
      ],
      [
        '-v binds, read-only',
        'mkdir -p dir; echo content > dir/file; docker run --rm -v $PWD/dir:/d:ro box sh -c "cat /d/file; touch /d/x"',
        { status: 1, out: 'content', err: /Read-only/ },
      ],
      [
        'a bad memory size',
        'docker run --rm -m lots box',
        { status: 125, err: /invalid argument "lots" for "-m, --memory"/ },
      ],
      [
        '-t has the size of its terminal from its first moment',
        'script -qec "stty rows 33 cols 111; docker run --rm -t box stty size" /dev/null',
        /^33 111\r/,
      ],
      ['-t has a terminal', 'script -qec "docker run --rm -it box tty" /dev/null', /\/dev\/pts\/0\r/],
      [
        '--detach-keys lets go',
        '(sleep 1; printf "ab") | script -qec "docker run -it --name left --detach-keys a,b box sleep 60" /dev/null >&2; docker inspect -f "{{.State.Running}}" left; docker rm -f left >&2',
        'true',
      ],
    ]);
  });

  describe('create, start, attach', () => {
    checks([
      [
        'start -a shows what it ran',
        'docker create --name once box sh -c "echo ran; exit 3" >&2; docker start -a once',
        { out: 'ran', status: 3 },
      ],
      ['start -ai', 'docker create -i --name cat box cat >&2; echo typed | docker start -ai cat', 'typed'],
      ['start again', 'docker start once; docker wait once', 'once\n3'],
      ['start of nobody', 'docker start ghost', { status: 1, err: /No such container: ghost/ }],
      [
        'the name is taken',
        'docker create --name once box',
        { status: 1, err: /Conflict\. The container name "\/once" is already in use by container "[0-9a-f]{64}"/ },
      ],
      [
        'a bad name',
        'docker create --name "a b" box',
        { status: 1, err: /Invalid container name \(a b\), only \[a-zA-Z0-9\]\[a-zA-Z0-9_\.-\] are allowed/ },
      ],
      [
        'attach',
        'docker run -d -i --name talk box sh -c "read x; echo got \\$x; exit 5" >&2; echo word | docker attach talk',
        { out: 'got word', status: 5 },
      ],
      [
        'attach to what does not run',
        'docker attach talk',
        { status: 1, err: /cannot attach to a stopped container, start it first/i },
      ],
      [
        'attach --no-stdin and its signal',
        'docker run -d --name trap box sh -c "trap \'exit 9\' TERM; echo up; while :; do sleep 0.1; done" >&2; docker attach --no-stdin trap & sleep 0.7; kill -TERM $!; docker wait trap',
        /9$/,
      ],
      ['removes', 'docker rm once cat talk trap', 'once\ncat\ntalk\ntrap'],
    ]);
  });
});
