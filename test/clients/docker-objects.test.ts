// Docker's client on lists and formats, volumes, images and the system.
import { beforeAll, describe } from 'vitest';
import { dockerShell, whyNoDockerClient } from '../helpers/docker-client.ts';

describe.skipIf(whyNoDockerClient())("docker's client manages objects", () => {
  const { checks, ok } = dockerShell({
    Labels: { made: 'here' },
    ExposedPorts: { '80/tcp': {} },
    Volumes: { '/data': {} },
  });

  describe('lists and inspect', () => {
    beforeAll(() =>
      ok(`docker run -d --name web -l tier=front -p 127.0.0.1:0:80 -p 127.0.0.1:0:53/udp box httpd -f -h /var/www &&
        docker create --name idle -l tier=back -l spare= box && docker run --name failed box sh -c 'exit 3'; true`),
    );
    checks([
      [
        'ps',
        'docker ps',
        /^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n[0-9a-f]{12} +box +"httpd -f -h \/var\/www" +\S.* ago +Up .* +127\.0\.0\.1:\d+->53\/udp, 127\.0\.0\.1:\d+->80\/tcp +web$|^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n[0-9a-f]{12} +box +"httpd -f -h \/var\/www" +\S.* +Up .* +127\.0\.0\.1:\d+->80\/tcp, 127\.0\.0\.1:\d+->53\/udp +web$/,
      ],
      ['ps -a, newest first', 'docker ps -a --format "{{.Names}}"', 'failed\nidle\nweb'],
      ['ps -aq --no-trunc', 'docker ps -aq --no-trunc', /^([0-9a-f]{64}\n?){3}$/],
      ['ps -n', 'docker ps -n 2 --format "{{.Names}}"', 'failed\nidle'],
      ['ps -l', 'docker ps -lq | wc -l', '1'],
      ['ps -s', 'docker ps -as --filter name=failed --format "{{.Size}}"', /^\d+(\.\d+)?k?B \(virtual [\d.]+[kM]B\)$/],
      ['ps --filter name', 'docker ps -a --filter name=^/i --format "{{.Names}}"', 'idle'],
      ['ps --filter status', 'docker ps --filter status=created --format "{{.Names}} {{.State}}"', 'idle created'],
      [
        'ps --filter exited',
        'docker ps -a --filter exited=3 --format "{{.Names}} {{.Status}}"',
        /^failed Exited \(3\) .* ago$/,
      ],
      [
        'ps --filter label',
        'docker ps -a --filter label=tier=back --filter label=spare --format "{{.Names}} {{.Label \\"tier\\"}}"',
        'idle back',
      ],
      ['ps --filter ancestor', 'docker ps -a --filter ancestor=box -q | wc -l', '3'],
      ['ps --filter volume', 'docker ps --filter volume=/data --format "{{.Names}} {{.LocalVolumes}}"', 'web 1'],
      [
        'ps --filter publish',
        'docker ps --filter publish=$(docker port web 80 | cut -d: -f2) --format "{{.Names}}"',
        'web',
      ],
      ['ps --filter network', 'docker ps --filter network=bridge --format "{{.Names}} {{.Networks}}"', 'web bridge'],
      [
        'ps --filter before and since',
        'docker ps -a --filter before=failed --filter since=web --format "{{.Names}}"',
        'idle',
      ],
      ['ps with a bad filter', 'docker ps --filter nonsense=1', { status: 1, err: /invalid filter 'nonsense'/i }],
      [
        'ps with a bad status',
        'docker ps --filter status=odd',
        { status: 1, err: /invalid filter 'status=odd'|unrecognised filter value for status: odd/i },
      ],
      [
        'ps --format json',
        'docker ps --format json',
        /^\{"Command":"\\"httpd -f -h \/var\/www\\"","CreatedAt":".*","ID":"[0-9a-f]{12}","Image":"box","Labels":".*","LocalVolumes":"1","Mounts":".*","Names":"web"/,
      ],
      ['port', 'docker port web', /^53\/udp -> 127\.0\.0\.1:\d+\n80\/tcp -> 127\.0\.0\.1:\d+$/],
      [
        'port of one that is not published',
        'docker port web 81',
        { status: 1, err: /no public port '81.*' published for web/i },
      ],
      ['a published port answers', 'busybox wget -qO- http://$(docker port web 80)/', 'served'],
      [
        'inspect -f',
        'docker inspect -f "{{.Name}} {{.State.Status}} {{.Config.Image}} {{.Path}} {{json .Args}}" web',
        '/web running box httpd ["-f","-h","/var/www"]',
      ],
      ['inspect -s', 'docker inspect -s -f "{{.SizeRootFs}}" web', /^\d{6,}$/],
      [
        'inspect of ports',
        'docker inspect -f "{{range \\$p, \\$b := .NetworkSettings.Ports}}{{\\$p}}={{len \\$b}} {{end}}" web',
        '53/udp=1 80/tcp=1 ',
      ],
      [
        'inspect of networks',
        'docker inspect -f "{{range .NetworkSettings.Networks}}{{.IPAddress}}/{{.IPPrefixLen}} {{.Gateway}}{{end}}" web',
        /^\d+(\.\d+){3}\/\d+ \d+(\.\d+){3}$/,
      ],
      [
        'inspect --type image of a container',
        'docker inspect --type image web',
        { status: 1, out: '[]', err: /no such image: web/i },
      ],
      [
        'inspect of several',
        'docker inspect -f "{{.Name}}" web ghost idle',
        { status: 1, out: '/web\n/idle', err: /no such object: ghost/i },
      ],
      ['inspect by the beginning of an id', 'docker inspect -f "{{.Name}}" $(docker ps -q | cut -c1-6)', '/web'],
      [
        'update',
        'docker update -m 64m --memory-swap 64m --restart unless-stopped web; docker inspect -f "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}" web',
        'web\n67108864 unless-stopped',
      ],
      [
        'diff',
        'docker exec web sh -c "echo x > /new; rm /etc/group"; docker diff web | grep -v data',
        /^(C \/etc\nD \/etc\/group\nA \/new|A \/new\nC \/etc\nD \/etc\/group)$/,
      ],
      ['export', 'docker export failed | tar t | grep -c "^bin/busybox$"', '1'],
      [
        'commit',
        'docker commit -m why -a me -c "ENV A=1" -c \'CMD ["cat","/new"]\' web made:1 | cut -c1-7; docker run --rm made:1; docker inspect -f "{{.Comment}} {{.Author}} {{index .Config.Env 1}}" made:1',
        'sha256:\nx\nwhy me A=1',
      ],
      [
        'rm -v takes anonymous volumes',
        'v=$(docker inspect -f "{{(index .Mounts 0).Name}}" idle); docker rm -v idle; docker volume inspect $v',
        { status: 1, out: 'idle\n[]', err: /no such volume/i },
      ],
    ]);
  });

  describe('volumes', () => {
    checks([
      ['create', 'docker volume create --label a=1 mine', 'mine'],
      ['create again', 'docker volume create mine', 'mine'],
      ['create without a name', 'docker volume create | wc -c', '65'],
      [
        'a bad name',
        'docker volume create a/b',
        { status: 1, err: /"a\/b" includes invalid characters for a local volume name/ },
      ],
      [
        'inspect',
        'docker volume inspect -f "{{.Name}} {{.Driver}} {{.Scope}} {{json .Labels}}" mine',
        'mine local local {"a":"1"}',
      ],
      ['inspect of nobody', 'docker volume inspect ghost', { status: 1, out: '[]', err: /get ghost: no such volume/i }],
      ['ls', 'docker volume ls --filter name=mi', /^DRIVER +VOLUME NAME\nlocal +mine$/],
      ['ls --filter label', 'docker volume ls -q --filter label=a=1', 'mine'],
      [
        'keeps content',
        'docker run --rm -v mine:/v box sh -c "echo kept > /v/f"; docker run --rm --mount type=volume,src=mine,dst=/v,readonly box sh -c "cat /v/f; touch /v/x"',
        { status: 1, out: 'kept', err: /Read-only/ },
      ],
      [
        'takes what the image has there',
        'docker run --rm -v fresh:/var/www box cat /var/www/index.html; docker volume rm fresh',
        'served\nfresh',
      ],
      [
        'rm of one in use',
        'docker create --name holder -v mine:/v box >&2; docker volume rm mine',
        { status: 1, err: /remove mine: volume is in use - \[[0-9a-f]{64}\]/i },
      ],
      ['ls --filter dangling', 'docker volume ls -q --filter dangling=false | grep mine', 'mine'],
      ['rm', 'docker rm holder >&2; docker volume rm mine', 'mine'],
      ['rm of nobody', 'docker volume rm ghost', { status: 1, err: /get ghost: no such volume/i }],
      ['rm -f of nobody', 'docker volume rm -f ghost', 'ghost'],
      [
        'prune -a',
        'docker volume create named >&2; docker volume prune -af',
        /^Deleted Volumes:\n(.*\n)*named\n(.*\n)*\nTotal reclaimed space: /,
      ],
      [
        '--volumes-from',
        'docker create --name from -v shared:/s box >&2; docker run --rm --volumes-from from box sh -c "test -d /s && echo there"; docker rm -v from >&2',
        'there',
      ],
    ]);
  });

  describe('images', () => {
    checks([
      [
        'ls',
        'docker images box',
        /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\nbox +latest +[0-9a-f]{12} +\S.* ago +[\d.]+[kM]B$/,
      ],
      ['ls --format', 'docker images --format "{{.Repository}}:{{.Tag}}" --filter reference=box', 'box:latest'],
      ['ls -q --no-trunc', 'docker images -q --no-trunc box', /^sha256:[0-9a-f]{64}$/],
      ['ls --digests', 'docker images --digests --format "{{.Digest}}" box', '<none>'],
      [
        'ls --filter label',
        'docker images -q --filter label=made=here box | wc -l; docker images -q --filter label=made=there | wc -l',
        '1\n0',
      ],
      [
        'tag of nobody',
        'docker tag ghost x',
        { status: 1, err: 'Error response from daemon: No such image: ghost:latest' },
      ],
      [
        'tag with a bad name',
        'docker tag box UPPER',
        { status: 1, err: /invalid reference format: repository name .*must be lowercase/ },
      ],
      [
        'inspect',
        'docker image inspect -f "{{.Os}} {{json .Config.Cmd}} {{json .Config.ExposedPorts}} {{len .RootFS.Layers}}" box',
        'linux ["sh"] {"80/tcp":{}} 1',
      ],
      [
        'inspect of nobody',
        'docker image inspect ghost',
        { status: 1, out: '[]', err: /No such image: ghost(:latest)?$/ },
      ],
      ['history', 'docker history --no-trunc --format "{{.CreatedBy}} {{.Comment}}" box', /^test ?$/],
      ['history -q', 'docker history -q box | wc -l', '1'],
      [
        'save of several',
        'docker tag box saved:1; docker save box saved:1 | tar xO manifest.json | grep -o "[a-z]*:[1l][a-z]*" | sort -u',
        'box:latest\nsaved:1',
      ],
      [
        'save and load',
        'docker tag box saved:1; docker save -o a.tar saved:1; docker rmi saved:1 >&2; docker load -i a.tar',
        'Loaded image: saved:1',
      ],
      [
        'save of nobody',
        'docker save -o b.tar ghost',
        { status: 1, err: /No such image: ghost(:latest)?|reference does not exist/ },
      ],
      ['load of what is none', 'echo no | docker load', { status: 1, err: /./ }],
      [
        'import',
        'mkdir -p r/bin; cp /bin/busybox r/bin/; tar c -C r . | docker import -m brought -c "ENTRYPOINT [\\"/bin/busybox\\"]" - brought:1 | cut -c1-7; docker run --rm brought:1 echo runs',
        'sha256:\nruns',
      ],
      ['rmi of the last name', 'docker rmi brought:1', /^Untagged: brought:1\nDeleted: sha256:[0-9a-f]{64}/],
      ['rmi of one name', 'docker rmi saved:1', 'Untagged: saved:1'],
      [
        'rmi of nobody',
        'docker rmi ghost',
        { status: 1, err: 'Error response from daemon: No such image: ghost:latest' },
      ],
      [
        'rmi of one in use',
        'docker create --name user box >&2; docker rmi box; docker rm user >&2',
        { err: /conflict: unable to (delete|remove repository reference) "?box:?\w*"? \(must (be forced|force)\)/ },
      ],
      ['image prune', 'docker image prune -f', 'Total reclaimed space: 0B'],
      ['pull that cannot be', 'docker pull 127.0.0.1:1/nothing', { status: 1, err: /127\.0\.0\.1:1/ }],
      ['search, offline', 'docker search box', { status: 1, err: /./ }],
    ]);
  });

  describe('system', () => {
    checks([
      [
        'version',
        'docker version --format "{{.Client.Version}} {{.Server.Os}} {{.Server.APIVersion}}"',
        /^\S+ linux 1\.\d\d$/,
      ],
      [
        'info',
        'docker info --format "{{.ContainersRunning}} {{.OSType}} {{.DefaultRuntime}} {{.LoggingDriver}}"',
        /^\d linux \w+ json-file$/,
      ],
      [
        'info as text',
        'docker info 2>/dev/null',
        /Server:\n Containers: \d+\n {2}Running: \d+\n {2}Paused: \d+\n {2}Stopped: \d+\n Images: \d+\n Server Version: /,
      ],
      [
        'system df',
        'docker system df',
        /^TYPE +TOTAL +ACTIVE +SIZE +RECLAIMABLE\nImages +\d+ +\d+ +\S+ +\S+( \(\d+%\))?\nContainers +\d/,
      ],
      [
        'system df -v',
        'docker system df -v',
        /Images space usage:[\s\S]*box +latest[\s\S]*Containers space usage:[\s\S]*Local Volumes space usage:/,
      ],
      ['system prune', 'docker system prune -f', /Total reclaimed space: /],
      [
        'context',
        'docker context create mine --docker host=$DOCKER_HOST >&2; unset DOCKER_HOST; docker context use mine >&2; docker context ls --format "{{.Name}} {{.Current}}"; docker ps -q | wc -l',
        /^default false\nmine true\n\d+$/,
      ],
      [
        '-H',
        'h=$DOCKER_HOST; unset DOCKER_HOST; docker -c default -H $h ps -q 2>&1 | head -1; docker -H $h version --format "{{.Server.Os}}"',
        /linux$/,
      ],
      [
        'nobody listens',
        'DOCKER_HOST=unix:///nothing docker ps',
        {
          status: 1,
          err: /Cannot connect to the Docker daemon at unix:\/\/\/nothing\. Is the docker daemon running\?/,
        },
      ],
      ['an older API', 'DOCKER_API_VERSION=1.40 docker run --rm box echo old', 'old'],
      ['swarm commands are refused', 'docker service ls', { status: 1, err: /This node is not a swarm manager/ }],
      ['login without a registry', 'echo x | docker login -u u --password-stdin 127.0.0.1:1', { status: 1, err: /./ }],
    ]);
  });
});
