// Docker's client: networks of a user's own, what containers see of each other there, and links.
import { describe } from 'vitest';
import { dockerShell, whyNoDockerClient } from '../helpers/docker-client.ts';

describe.skipIf(whyNoDockerClient())("docker's client makes networks", () => {
  const { checks } = dockerShell();

  describe('networks', () => {
    checks([
      ['create prints the id', 'docker network create --label kind=test one | wc -c', '65'],
      ['the name is taken', 'docker network create one', { status: 1, err: /etwork with name one already exists/ }],
      [
        'ls --filter',
        'docker network ls --filter label=kind=test --format "{{.Name}} {{.Driver}} {{.Scope}}"',
        'one bridge local',
      ],
      [
        'a subnet, a gateway, an address',
        'docker network create --subnet 10.83.0.0/24 --gateway 10.83.0.9 two >&2; docker run --rm --network two --ip 10.83.0.77 box sh -c "ip -4 -o addr show eth0; ip route"',
        /10\.83\.0\.77\/24[\s\S]*default via 10\.83\.0\.9 /,
      ],
      [
        'a subnet that is taken',
        'docker network create --subnet 10.83.0.0/24 three',
        { status: 1, err: /Pool overlaps with other one on this address space/i },
      ],
      [
        'names and aliases',
        'docker run -d --init --name server --network one --network-alias store box httpd -f -h /var/www >&2; for name in server store; do docker run --rm --network one box wget -qO- http://$name/; done',
        'served\nserved',
      ],
      ['not from elsewhere', 'docker run --rm --network two box wget -qO- http://server/', { status: 1 }],
      [
        'connect, with an alias',
        'docker network connect --alias other two server; docker run --rm --network two box wget -qO- http://other/',
        'served',
      ],
      [
        'inspect tells who is in it',
        'docker network inspect -f "{{range .Containers}}{{.Name}} {{end}}" two',
        'server ',
      ],
      ['rm of one in use', 'docker network rm two', { status: 1, err: /has active endpoints/ }],
      [
        'disconnect',
        'docker network disconnect two server; docker inspect -f "{{len .NetworkSettings.Networks}}" server',
        '1',
      ],
      ['rm', 'docker network rm two', 'two'],
      ['of nobody', 'docker network inspect two', { status: 1, out: '[]', err: /network two not found/i }],
    ]);
  });

  describe('links', () => {
    checks([
      [
        'in a network of your own: a name that only this one has',
        'docker run --rm --network one --link server:web box wget -qO- http://web/; docker run --rm --network one box wget -qO- http://web/',
        { out: 'served', status: 1 },
      ],
      [
        'as inspection has them',
        'docker create --name linked --network one --link server:web box >&2; docker inspect -f "{{json .NetworkSettings.Networks.one.Links}} {{json .HostConfig.Links}}" linked; docker rm linked >&2',
        '["server:web"] null',
      ],
      [
        'added by network connect',
        'docker network create three >&2; docker network connect three server; docker run -d --init --name late box sleep 60 >&2; docker network connect --link server:web three late; docker exec late wget -qO- http://web/; docker rm -f late >&2; docker network disconnect three server; docker network rm three >&2',
        'served',
      ],
      [
        'on the default bridge: lines in /etc/hosts',
        'docker run -d --init --name db -h store box httpd -f -h /var/www >&2; docker run --rm --link db:data box sh -c "grep data /etc/hosts | head -n1; wget -qO- http://data/"',
        /^172\.\d+\.\d+\.\d+\tdata store db\nserved$/,
      ],
      [
        'as inspection has them there',
        'docker create --name user --link db:data --link db box >&2; docker inspect -f "{{json .HostConfig.Links}}" user; docker rm user >&2',
        /^\["\/db:\/user\/d(ata|b)","\/db:\/user\/d(ata|b)"\]$/,
      ],
      [
        'go with what restarts at another address',
        'docker run -d --init --name user --link db:data box sleep 60 >&2; docker stop -t 0 db >&2; docker run -d --init --name thief box sleep 60 >&2; docker start db >&2; docker exec user wget -qO- http://data/; docker rm -f user thief >&2',
        'served',
      ],
      [
        'to what is not there',
        'docker create --link nobody box',
        { status: 1, err: /could not get container for nobody/i },
      ],
      [
        'to what does not run',
        'docker stop -t 0 db >&2; docker create --name user --link db box >&2; docker start user; docker rm user >&2',
        { err: /Cannot link to a non running container: \/db AS \/user\/db/ },
      ],
      [
        'with the network of the host',
        'docker run --rm --network host --link db box',
        { status: 125, err: /can(no|')t be used with links/ },
      ],
      ['ends', 'docker rm -f server db; docker network prune -f', /server\ndb\n[\s\S]*one/],
    ]);
  });
});
