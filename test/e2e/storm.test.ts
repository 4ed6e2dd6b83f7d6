// Eight clients at once do what they like with a few containers: only documented statuses, and in the end nothing is left.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enginePaths } from '../../host/paths.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, processesOf, until } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { leftovers } from '../helpers/leftovers.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const OPERATIONS = 2000;
const CLIENTS = 8;
const LIMIT_MS = 20_000;
const names = ['alpha', 'beta', 'gamma'];

/** Method, path behind the container, statuses that docker's API documents (and 409, which it sends). */
const operations: [string, string, number[], object?][] = [
  ['POST', '/start', [204, 304, 404, 409]],
  ['POST', '/start', [204, 304, 404, 409]],
  ['POST', '/stop?t=0', [204, 304, 404]],
  ['POST', '/stop?t=1', [204, 304, 404]],
  ['POST', '/kill', [204, 404, 409]],
  ['POST', '/kill?signal=TERM', [204, 404, 409]],
  ['POST', '/pause', [204, 404, 409]],
  ['POST', '/unpause', [204, 404, 409]],
  ['POST', '/restart?t=0', [204, 404, 409]],
  ['POST', '/update', [200, 404], { CpuShares: 512, PidsLimit: 30 }],
  ['GET', '/json', [200, 404]],
  ['GET', '/top', [200, 404, 409]],
  ['DELETE', '', [204, 404, 409]],
  ['DELETE', '?force=1', [204, 404, 409]],
];

describe.skipIf(whyNoContainers())('a storm of requests', () => {
  const here = createInstallation();
  const ids: string[] = [];
  const call = (method: string, path: string, body?: object) =>
    engineCall(here.dataRoot, method, path, body && Buffer.from(JSON.stringify(body)));

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('gets documented answers, ends, and leaves nothing', async () => {
    const enginePid = here.enginePid();
    const bad: string[] = [];
    // A generator of its own: what is done is the same in each run, when it is done is not.
    let seed = 20_26;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    const create = async (name: string): Promise<void> => {
      const { status, body } = await call('POST', `/containers/create?name=${name}`, {
        Image: 'box',
        Cmd: ['sh', '-c', 'sleep 600 & wait'],
        HostConfig: {
          NetworkMode: name === 'gamma' ? 'bridge' : 'none',
          ...(name === 'beta' ? { RestartPolicy: { Name: 'always' } } : {}),
        },
      });
      if (status === 201) ids.push((JSON.parse(body.toString()) as { Id: string }).Id);
      else if (status !== 409) bad.push(`create: ${status} ${body}`);
    };
    const execute = async (name: string): Promise<void> => {
      const made = await call('POST', `/containers/${name}/exec`, { Cmd: ['true'], AttachStdout: true });
      if (made.status !== 201) {
        if (![404, 409].includes(made.status)) bad.push(`exec: ${made.status} ${made.body}`);
        return;
      }
      const { Id } = JSON.parse(made.body.toString()) as { Id: string };
      const started = await call('POST', `/exec/${Id}/start`, {});
      if (![200, 404, 409].includes(started.status)) bad.push(`exec start: ${started.status} ${started.body}`);
    };
    const began = Date.now();
    let done = 0;
    const client = async (): Promise<void> => {
      while (done < OPERATIONS && Date.now() - began < LIMIT_MS) {
        done++;
        const name = names[random(names.length)]!;
        const choice = random(operations.length + 4);
        if (choice < 2) await create(name);
        else if (choice < 4) await execute(name);
        else {
          const [method, path, allowed, body] = operations[choice - 4]!;
          const answer = await call(method, `/containers/${name}${path}`, body);
          if (!allowed.includes(answer.status)) bad.push(`${method} ${name}${path}: ${answer.status} ${answer.body}`);
        }
      }
    };
    await Promise.all(names.map(create));
    await Promise.all(Array.from({ length: CLIENTS }, client));
    console.log(`The storm: ${done} operations in ${Date.now() - began} ms, ${ids.length} containers`);
    expect(bad).toEqual([]);
    expect(here.enginePid()).toBe(enginePid);

    for (const name of names)
      expect([204, 404]).toContain((await call('DELETE', `/containers/${name}?force=1`)).status);
    expect(await here.ok('ps', '-aq')).toBe('');
    const { memoryRoot } = enginePaths(here.dataRoot);
    const left = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);
    await until(
      () => left(join(memoryRoot, 'c')).length === 0 && left(join(here.dataRoot, 'trash')).length === 0,
      'run directories and trash to be emptied',
    );
    expect(left(join(here.dataRoot, 'containers'))).toEqual([]);
    process.kill(enginePid!, 'SIGTERM');
    await until(() => processesOf(here.dataRoot).length === 0, 'every process to end');
    expect(leftovers(here.dataRoot, ids)).toEqual([]);
  });
});
