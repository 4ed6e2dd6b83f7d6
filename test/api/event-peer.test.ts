// One scripted day on docker's own engine and on ours: the same events, in the same order, with the same attributes.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Docker, startDocker } from '../bench/docker.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
const why =
  whyNoContainers() || (existsSync('/usr/sbin/dockerd') && client ? '' : 'dockerd and its client are not installed');
if (why) console.log(`Events are not compared with docker's engine: ${why}`);

/** What a person does, line by line; a line may fail, but then on both. */
const DAY = `
docker network create --label of=day back
docker volume create --label of=day kept
docker run --name short --label kind=short box true
docker run -d --name long --init --network back -v kept:/kept -e A=b box sleep 1000
docker exec long true
docker exec -u user -w /tmp long sh -c 'exit 3'
docker exec long absent
docker top long
docker pause long
docker unpause long
docker rename long longer
docker update --memory 64m --memory-swap 64m longer
docker kill -s CONT longer
docker restart -t 30 longer
docker stop -t 30 longer
docker start longer
docker kill longer
docker wait longer
docker commit short made
docker tag made other
docker cp short:/etc/passwd passwd
docker cp passwd short:/tmp
docker export -o all short
docker network connect back short
docker network disconnect back short
docker start -a short
docker rm -v longer; docker rm -v short
docker run --rm --name gone -v /anonymous box sh -c 'exit 7'
docker create --name never box absent
docker start never
docker rm never
docker run --rm --name hungry -m 16m --memory-swap 16m box sh -c 'x=y; while :; do x=$x$x; done'
docker run -d --name ill --init --health-cmd 'test -e /well' --health-interval 200ms --health-retries 1 box sleep 1000
until test "$(docker inspect -f '{{.State.Health.Status}}' ill)" = unhealthy; do sleep 0.1; done; docker stop -t 30 ill; docker rm ill
docker run -d --init --name forced box sleep 1000
docker rm -f forced
docker run -d --name again --restart on-failure:1 box false
until test "$(docker inspect -f '{{.State.Status}} {{.RestartCount}}' again)" = 'exited 1'; do sleep 0.1; done
docker rm again
docker volume rm kept
docker network rm back
docker save -o saved made
docker rmi other
docker rmi made
docker load -i saved
docker rmi made
docker network create unused; docker volume create unused
docker network prune -f; docker container prune -f; docker volume prune -f; docker image prune -f
`
  .trim()
  .split('\n');

interface Event {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
}

/** What is not compared: of which events, which attribute ("" for the whole event), and why. */
const intended: [RegExp, string, string][] = [
  [/^container die$/, 'execDuration', 'Docker has it since version 23'],
  // A check of a few milliseconds may be one more or less, however slow the machine is.
  [/^container exec_\w+(: \/bin\/sh -c test -e \/well)?$/, '', 'health checks come at their own times'],
];

/** Every event in a line, by type: between types the order may differ. IDs become what they are of. */
function linesOf(events: Event[]): Record<string, string[]> {
  const names = new Map(
    events.filter(({ Type }) => Type === 'container').map(({ Actor }) => [Actor.ID, Actor.Attributes.name ?? '']),
  );
  const own = (text: string): string =>
    text.replace(/(sha256:)?[0-9a-f]{64}/g, (id) => (names.has(id) ? `<of ${names.get(id)}>` : '<id>'));
  const lines: Record<string, string[]> = {};
  for (const { Type, Action, Actor } of events) {
    const what = `${Type} ${Action}`;
    const dropped = intended.filter(([pattern]) => pattern.test(what)).map(([, name]) => name);
    if (dropped.includes('') && Actor.Attributes.name === 'ill') continue;
    const attributes = Object.entries(Actor.Attributes)
      .filter(([name]) => !dropped.includes(name))
      .map(([name, value]) => `${name}=${own(value)}`)
      .sort();
    const line = [Action, ...attributes].join(' ');
    const list = lines[Type] ?? [];
    lines[Type] = list;
    // Docker tells of a named volume once more when a container wants it.
    if (!(Type === 'volume' && Action === 'create' && list.at(-1) === line)) list.push(line);
  }
  return lines;
}

describe.skipIf(why)("beside docker's engine", () => {
  const here = createInstallation();
  const home = mkdtempSync(join(tmpdir(), 'gantry-day-'));
  let docker: Docker | undefined;

  /** What happens at an engine while a day is lived there. */
  const dayAt = async (socketPath: string): Promise<Record<string, string[]>> => {
    const env = { ...here.env, DOCKER_HOST: `unix://${socketPath}`, HOME: home, PATH: `${home}:${process.env.PATH}` };
    const since = Date.now() / 1000;
    for (const line of DAY) {
      const { error } = spawnSync('sh', ['-c', line], { env, cwd: home, timeout: 60_000, stdio: 'ignore' });
      if (error !== undefined) throw new Error(`${line} at ${socketPath}: ${error.message}`);
    }
    const text = await get(socketPath, `/v1.41/events?since=${since}&until=${Date.now() / 1000}`);
    return linesOf(
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Event),
    );
  };

  beforeAll(async () => {
    await here.ok('info');
    symlinkSync(client!, join(home, 'docker'));
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest', { config: { Labels: { image: 'yes' } } });
    docker = await startDocker(archive, (text) => console.log(text));
    await here.ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  }, 60_000);
  afterAll(async () => {
    if (docker)
      spawnSync('sh', ['-c', 'docker rm -f $(docker ps -aq)'], { env: { ...process.env, DOCKER_HOST: docker.host } });
    await docker?.close();
    await here.close();
    rmSync(home, { recursive: true });
  }, 60_000);

  it('the same events come in a day', async () => {
    const theirs = await dayAt(docker!.socket);
    const ours = await dayAt(here.socket);
    expect(Object.keys(ours).toSorted()).toEqual(Object.keys(theirs).toSorted());
    for (const type of Object.keys(theirs)) expect(ours[type], type).toEqual(theirs[type]);
  }, 240_000);
});

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (answer) => {
      let all = '';
      answer.on('data', (chunk) => {
        all += chunk;
      });
      answer.once('end', () => resolve(all));
    })
      .once('error', reject)
      .end();
  });
}
