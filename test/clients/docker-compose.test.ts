// docker-compose 1.29 (Debian's) drives the engine: two services, conditions, networks, volumes, ports, changes, the end.
import { existsSync } from 'node:fs';
import { beforeAll, describe } from 'vitest';
import { dockerShell, whyNoDockerClient } from '../helpers/docker-client.ts';

const found = existsSync('/usr/bin/docker-compose');
if (!found) console.log('docker-compose is not tested: it is not installed');

const PROJECT = `
services:
  db:
    image: box
    command: sh -c "echo begins; sleep 0.5; touch /ready; exec sleep 60"
    init: true
    healthcheck:
      test: ["CMD", "test", "-e", "/ready"]
      interval: 300ms
      retries: 30
    networks:
      back:
        aliases: [store]
    volumes: ["data:/data"]
  web:
    image: box
    command: httpd -f -h /var/www
    init: true
    depends_on:
      db:
        condition: service_healthy
    links: ["db:linked"]
    env_file: web.env
    environment:
      DIRECT: "\${FROM_SHELL}"
    labels:
      kind: front
    networks: [back, front]
    ports: ["127.0.0.1::80"]
    volumes: ["./page:/var/www:ro"]
  job:
    image: box
    profiles: [jobs]
    command: sh -c "echo did it; exit 3"
networks:
  back: {}
  front: {}
volumes:
  data: {}
`;

describe.skipIf(whyNoDockerClient() || !found)('docker-compose', () => {
  const { checks, ok } = dockerShell();

  beforeAll(() =>
    ok(`mkdir shop shop/page; cd shop; echo page > page/index.html; echo FILED=file > web.env
        cat > docker-compose.yml <<'END'${PROJECT}END`),
  );

  const compose = 'cd shop; export FROM_SHELL=shell; docker-compose --ansi never';
  checks([
    ['config', `${compose} config --services`, 'db\nweb\njob'],
    [
      'up -d, in the order of conditions',
      `${compose} up -d 2>&1; docker ps --filter label=com.docker.compose.project=shop --format '{{.Names}} {{.Status}}' | sort`,
      /Creating shop_db_1 +\.\.\. done[\s\S]*Creating shop_web_1 +\.\.\. done\r?\nshop_db_1 Up .* \(healthy\)\nshop_web_1 Up /,
    ],
    ['ps', `${compose} ps`, /shop_db_1 +.* +Up \(healthy\)[\s\S]*shop_web_1 .* Up +127\.0\.0\.1:\d+->80\/tcp/],
    ['ps -q', `${compose} ps -q web`, /^[0-9a-f]{64}$/],
    ['port', `${compose} port web 80`, /^127\.0\.0\.1:\d+$/],
    ['a published port answers', `${compose} port web 80 | sed 's,^,http://,' | xargs busybox wget -qO-`, 'page'],
    ['exec', `${compose} exec -T web sh -c 'echo $FILED $DIRECT'`, 'file shell'],
    ['exec with a status', `${compose} exec -T web sh -c 'exit 4'`, { status: 4 }],
    [
      'names of services and aliases',
      `${compose} exec -T web sh -c 'ping -c1 db >/dev/null && ping -c1 store >/dev/null && echo both'`,
      'both',
    ],
    ['links', `${compose} exec -T web ping -c1 linked`, /1 packets received/],
    ['networks keep apart', `${compose} exec -T db ping -c1 -W1 front`, { status: 1 }],
    ['logs', `${compose} logs --no-color db`, /db_1 +\| begins/],
    ['top', `${compose} top web`, /shop_web_1[\s\S]*httpd/],
    ['run', `${compose} run --rm -T job 2>/dev/null`, { out: 'did it', status: 3 }],
    [
      'run in the networks of a service',
      `${compose} run --rm -T --no-deps web ping -c1 db 2>/dev/null`,
      /1 packets received/,
    ],
    ['up again changes nothing', `${compose} up -d 2>&1`, /shop_db_1 is up-to-date[\s\S]*shop_web_1 is up-to-date/],
    [
      'up after a change makes that one anew',
      `${compose} ps -q > before; echo FILED=other > web.env; docker-compose --ansi never up -d 2>&1; docker-compose exec -T web sh -c 'echo $FILED'; docker-compose ps -q | sort > after; sort before | comm -12 - after | wc -l`,
      /Recreating shop_web_1 +\.\.\. done\r?\nother\n1$/,
    ],
    [
      'volumes outlive what is made anew',
      `${compose} exec -T db sh -c 'echo kept > /data/f'; docker-compose --ansi never up -d --force-recreate db 2>&1; docker-compose exec -T db cat /data/f`,
      /Recreating shop_db_1 +\.\.\. done[\s\S]*\nkept$/,
    ],
    [
      'scale',
      `${compose} up -d --scale db=2 2>&1 >/dev/null; docker-compose ps -q db | wc -l; docker-compose --ansi never up -d --scale db=1 >/dev/null 2>&1; docker-compose ps -q db | wc -l`,
      /2\n1$/,
    ],
    [
      'pause and unpause',
      `${compose} pause web 2>&1; docker ps --filter status=paused --format '{{.Names}}'; docker-compose --ansi never unpause web 2>&1`,
      /shop_web_1\n.*Unpausing/s,
    ],
    ['restart', `${compose} restart -t 0 web 2>&1`, /Restarting shop_web_1 +\.\.\. done/],
    ['kill', `${compose} kill -s KILL web 2>&1; docker-compose ps web`, /Exit 137/],
    ['start', `${compose} start web 2>&1; docker-compose ps web`, /Starting web +\.\.\. done[\s\S]* Up /],
    [
      'events',
      `${compose} events --json > seen & sleep 0.7; cd shop; docker-compose exec -T web true; until grep -q exec_die seen; do sleep 0.1; done; kill $!; grep -c '"service": "web"' seen`,
      /^[1-9]/,
    ],
    ['stop', `${compose} stop -t 0 2>&1; docker ps -q | wc -l`, /Stopping shop_web_1 +\.\.\. done[\s\S]*\n0$/],
    [
      'up in the foreground',
      `${compose} --profile jobs up --abort-on-container-exit --exit-code-from job job 2>&1`,
      { status: 3, out: /did it[\s\S]*shop_job_1 exited with code 3/ },
    ],
    ['rm', `${compose} --profile jobs rm -f job 2>&1`, /Removing shop_job_1 +\.\.\. done/],
    [
      'down -v',
      `${compose} --profile jobs down -v 2>&1; docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom`,
      /Removing shop_db_1 +\.\.\. done[\s\S]*Removing network shop_back\r?\n[\s\S]*Removing volume shop_data$/,
    ],
  ]);
});
