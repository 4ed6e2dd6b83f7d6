// The engine is killed again and again while clients work: what it said "done" to stays done, and nothing is half done.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import type { Answer } from '../helpers/engine-call.ts';
import { mortalEngine, remains } from '../helpers/mortal-engine.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const SEED = Number(process.env.GANTRY_SEED ?? Date.now() % 1_000_000);
const DEATHS = Number(process.env.GANTRY_DEATHS ?? 12);
const CLIENTS = 4;

/** The same numbers for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
}

/** Numbers its lines, run by run; TERM ends it with 7. */
const WRITER = 'trap "exit 7" TERM; echo begin; i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done';

interface Inspect {
  Id: string;
  Name: string;
  State: { Status: string; ExitCode: number; Pid: number };
  HostConfig: { CpuShares: number; RestartPolicy: { Name: string } };
  NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
  RestartCount: number;
}

describe.skipIf(whyNoContainers())('killing the engine', () => {
  const here = createInstallation();
  const engine = mortalEngine(here);
  const ids = new Set<string>();
  const faults: string[] = [];
  let over = false;

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await engine.start();
    await here.ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  const json = (answer: Answer): unknown => JSON.parse(answer.body.toString());

  /** One client with objects of its own: a container, a volume, a network, an image's name. Knows what it was told. */
  function createClient(number: number) {
    const random = randomOf(SEED * 100 + number);
    let name = `c${number}`;
    /** Status → what may be; undefined in it: no such container. */
    let may = new Set<string | undefined>([undefined]);
    let shares = new Set([0]);
    let names = new Set([name]);
    let joined = new Set([false]);
    const things = {
      volume: {
        make: ['POST', '/volumes/create', { Name: `v${number}` }],
        path: `/volumes/v${number}`,
      },
      network: {
        make: ['POST', '/networks/create', { Name: `n${number}` }],
        path: `/networks/n${number}`,
      },
      image: {
        make: ['POST', `/images/box/tag?repo=i${number}&tag=1`, undefined],
        path: `/images/i${number}:1`,
      },
    } as const;
    const there: Record<keyof typeof things, Set<boolean>> = {
      volume: new Set([false]),
      network: new Set([false]),
      image: new Set([false]),
    };
    const only = <T>(set: Set<T>): T => [...set][0] as T;
    const bad = (what: string): void => {
      faults.push(`client ${number}: ${what}`);
    };

    /** Looks at everything and takes what was uncertain as it is now. */
    const look = async (): Promise<void> => {
      let found: Inspect | undefined;
      for (const known of [...names]) {
        const answer = await engine.ask(`/containers/${known}/json`);
        if (answer.status !== 200) continue;
        if (found !== undefined) bad(`two containers: ${[...names]}`);
        found = json(answer) as Inspect;
        name = known;
      }
      names = new Set([name]);
      const status = found?.State.Status;
      if (found !== undefined) ids.add(found.Id);
      if (!may.has(status)) bad(`${name} is ${status}, not ${[...may].join(' or ')}`);
      may = new Set([status]);
      if (status === 'running' && found?.State.Pid === 0) bad(`${name} runs without a process`);
      if (status === 'exited' && ![0, 7, 137, 143].includes(found!.State.ExitCode))
        bad(`${name} has ended with ${found?.State.ExitCode}`);
      if (found === undefined) {
        shares = new Set([0]);
        joined = new Set([false]);
      } else {
        const { CpuShares } = found.HostConfig;
        if (!shares.has(CpuShares)) bad(`${name} has ${CpuShares} shares, not ${[...shares].join(' or ')}`);
        shares = new Set([CpuShares]);
        const networks = Object.keys(found.NetworkSettings.Networks);
        const inIt = networks.includes(`n${number}`);
        if (!joined.has(inIt)) bad(`${name} is in ${networks}`);
        joined = new Set([inIt]);
      }
      for (const [kind, { path }] of Object.entries(things)) {
        const is = (await engine.ask(`${path}${kind === 'image' ? '/json' : ''}`)).status === 200;
        const allowed = there[kind as keyof typeof things];
        if (!allowed.has(is)) bad(`${kind} ${is ? 'is there' : 'is gone'}`);
        there[kind as keyof typeof things] = new Set([is]);
      }
    };

    /** @param sure called where it was done. @param maybe where the engine died. */
    const attempt = async (
      [method, path, body]: readonly [string, string, (object | undefined)?],
      sure: (answer: Answer) => void,
      maybe: () => void,
    ): Promise<void> => {
      const answer = await engine.call(method, path, body);
      if (answer === undefined) {
        maybe();
        await look();
      } else if (answer.status < 400) sure(answer);
      else {
        const text = answer.body.toString();
        bad(`${method} ${path}: ${answer.status} ${text}`);
        maybe();
        await look();
      }
    };
    const to = (status: string | undefined, ...between: string[]) => ({
      sure: (): void => {
        may = new Set([status]);
      },
      maybe: (): void => {
        may = new Set([...may, status, ...between]);
      },
    });
    const act = (method: string, path: string, { sure, maybe }: ReturnType<typeof to>, body?: object): Promise<void> =>
      attempt([method, `/containers/${name}${path}`, body], sure, maybe);
    /** A stop that was cut short may still work when the next engine is there. */
    const stopped = async (path: string): Promise<void> => {
      await act('POST', path, to('exited', 'running', 'paused'));
      while (only(may) !== 'exited') await act('POST', '/stop?t=1', to('exited', 'running', 'paused'));
    };

    const thing = async (): Promise<void> => {
      const kind = (['volume', 'network', 'image'] as const)[random(3)]!;
      if (kind === 'network' && only(joined)) return;
      const is = only(there[kind]);
      const { make, path } = things[kind];
      await attempt(
        is ? ['DELETE', path] : make,
        (answer) => {
          if (kind === 'network' && !is) ids.add((json(answer) as { Id: string }).Id);
          there[kind] = new Set([!is]);
        },
        () => {
          there[kind] = new Set([true, false]);
        },
      );
      if (kind === 'network' && only(there.network))
        ids.add((json(await engine.ask(`/networks/n${number}`)) as { Id: string }).Id ?? '');
    };

    const container = async (): Promise<void> => {
      const status = only(may);
      const choice = random(10);
      if (status === undefined) {
        const body = {
          Image: 'box',
          Cmd: ['sh', '-c', WRITER],
          Volumes: { '/data': {} },
          HostConfig: {
            RestartPolicy: { Name: number % 2 ? 'no' : 'unless-stopped' },
          },
        };
        await attempt(
          ['POST', `/containers/create?name=${name}`, body],
          (answer) => {
            ids.add((json(answer) as { Id: string }).Id);
            may = new Set(['created']);
            shares = new Set([0]);
            joined = new Set([false]);
          },
          () => {
            may.add('created');
          },
        );
      } else if (status === 'paused') {
        if (choice < 7) await act('POST', '/unpause', to('running'));
        else await stopped('/kill');
      } else if (choice === 0) {
        const next = `${name.split('-')[0]}-${random(1e6)}`;
        const { sure, maybe } = {
          sure: () => {
            name = next;
            names = new Set([next]);
          },
          maybe: (): void => {
            names.add(next);
          },
        };
        await act('POST', `/rename?name=${next}`, { sure, maybe });
      } else if (choice === 1) {
        const next = 128 + random(1000);
        await act(
          'POST',
          '/update',
          {
            sure: (): void => {
              shares = new Set([next]);
            },
            maybe: (): void => {
              shares.add(next);
            },
          },
          { CpuShares: next },
        );
      } else if (choice === 2 && only(there.network)) {
        const is = only(joined);
        const sure = (): void => {
          joined = new Set([!is]);
        };
        const maybe = (): void => {
          joined = new Set([true, false]);
        };
        const body = { Container: name };
        await attempt(['POST', `/networks/n${number}/${is ? 'disconnect' : 'connect'}`, body], sure, maybe);
      } else if (status === 'running') {
        if (choice < 4) await stopped('/stop?t=1');
        else if (choice === 4) await stopped('/kill');
        else if (choice === 5) await act('POST', '/restart?t=1', to('running', 'exited', 'restarting'));
        else if (choice === 6) await act('POST', '/pause', to('paused'));
        else if (choice === 7) await act('DELETE', '?force=1&v=1', to(undefined, 'exited'));
        else {
          const made = await engine.call('POST', `/containers/${name}/exec`, {
            Cmd: ['true'],
            AttachStdout: true,
          });
          if (made?.status === 201)
            await engine.call('POST', `/exec/${(json(made) as { Id: string }).Id}/start`, { Detach: false });
        }
      } else if (choice < 8) await act('POST', '/start', to('running'));
      else await act('DELETE', '?v=1', to(undefined));
    };

    return {
      look,
      async work() {
        while (!over) await (random(4) === 0 ? thing() : container());
      },
      get name() {
        return name;
      },
    };
  }

  /** Of containers that run for a moment, without names that anybody knows. */
  async function shortLived(): Promise<void> {
    const random = randomOf(SEED + 7);
    while (!over) {
      const body = {
        Image: 'box',
        Cmd: ['sh', '-c', `sleep 0.${random(4)}; exit 5`],
        Labels: { short: '1' },
        HostConfig: {
          AutoRemove: random(2) === 0,
          NetworkMode: random(2) === 0 ? 'none' : 'bridge',
        },
        Volumes: { '/data': {} },
      };
      const made = await engine.call('POST', '/containers/create', body);
      if (made === undefined) await engine.ask('/_ping');
      if (made?.status !== 201) continue;
      const { Id } = json(made) as { Id: string };
      ids.add(Id);
      await engine.call('POST', `/containers/${Id}/start`);
      await engine.ask('/_ping');
    }
  }

  it('loses nothing and leaves nothing half done', async () => {
    const began = Date.now();
    const random = randomOf(SEED);
    await here.ok('run', '-d', '--name', 'steady', 'box', 'sh', '-c', WRITER);
    await here.ok('run', '-d', '--name', 'again', '--restart', 'always', 'box', 'sh', '-c', 'sleep 0.1; exit 3');
    const healthy = ['--health-cmd', 'true', '--health-interval', '100ms', '--name', 'healthy', '-p', '0:80'];
    await here.ok('run', '-d', ...healthy, 'box', 'httpd', '-f', '-h', '/var/www');
    const port = (await here.ok('port', 'healthy', '80/tcp')).split('\n')[0]!.split(':').at(-1);
    const restartsBefore = (json(await engine.ask('/containers/again/json')) as Inspect).RestartCount;
    const clients = Array.from({ length: CLIENTS }, (_, number) => createClient(number));
    const work = Promise.all([...clients.map(({ work }) => work()), shortLived(), shortLived()]);
    for (let death = 0; death < DEATHS; death++) {
      await new Promise((resolve) => setTimeout(resolve, 200 + random(900)));
      await engine.kill();
      await new Promise((resolve) => setTimeout(resolve, random(4) === 0 ? 300 : 0));
      await engine.start();
    }
    over = true;
    await work;
    for (const { look } of clients) await look();
    console.log(`Seed ${SEED}: ${DEATHS} deaths, ${ids.size} objects in ${Date.now() - began} ms`);
    expect(faults, `seed ${SEED}`).toEqual([]);

    // Those of --rm go, the others keep their exit code.
    type Listed = { Id: string; State: string; Names: string[] };
    const short = async (): Promise<Listed[]> =>
      json(await engine.ask('/containers/json?all=1&filters={"label":["short"]}')) as Listed[];
    await until(async () => (await short()).every(({ State }) => State === 'exited' || State === 'created'), 'ends');
    for (const { Id, Names } of await short()) {
      const found = json(await engine.ask(`/containers/${Id}/json`)) as Inspect & {
        HostConfig: { AutoRemove: boolean };
      };
      ids.add(Id);
      expect(Names[0]?.length).toBeGreaterThan(1);
      if (found.State.Status === 'created') continue;
      expect([found.State.ExitCode, found.HostConfig.AutoRemove], `seed ${SEED}`).toEqual([5, false]);
    }

    // Lines are whole and in order, run by run.
    for (const { name } of [{ name: 'steady' }, ...clients]) {
      const { status, stdout } = await here.gantry('logs', name);
      if (status !== 0) continue;
      let next = 0;
      for (const line of stdout.split('\n').filter(Boolean)) {
        if (line === 'begin') next = 0;
        else expect(line, `logs of ${name}, seed ${SEED}`).toBe(String(next++));
      }
    }
    const steady = (await here.ok('logs', 'steady')).split('\n').length;
    await until(async () => (await here.ok('logs', 'steady')).split('\n').length > steady, 'more lines');
    const again = json(await engine.ask('/containers/again/json')) as Inspect;
    expect(again.RestartCount).toBeGreaterThan(restartsBefore);
    expect(await here.ok('inspect', '-f', '{{.State.Health.Status}}', 'healthy')).toBe('healthy');
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('served\n');

    for (const id of (await here.ok('ps', '-aq', '--no-trunc')).split('\n')) ids.add(id);
    await here.ok('rm', '-f', '-v', ...(await here.ok('ps', '-aq')).split('\n'));
    // What an engine could not know of is nobody's: no volume is left of a creation or removal that was cut short.
    const volumes = (await here.ok('volume', 'ls', '-q')).split('\n').filter(Boolean);
    expect(volumes.filter((name) => !/^v\d$/.test(name))).toEqual([]);
    if (volumes.length > 0) await here.ok('volume', 'rm', ...volumes);
    const networks = (await here.ok('network', 'ls', '-q', '--no-trunc', '-f', 'type=custom'))
      .split('\n')
      .filter(Boolean);
    for (const id of networks) ids.add(id);
    if (networks.length > 0) await here.ok('network', 'rm', ...networks);
    await engine.close();
    await until(() => remains(here, [...ids].filter(Boolean)).length === 0, 'nothing to be left').catch(() => {});
    expect(remains(here, [...ids].filter(Boolean)), `seed ${SEED}`).toEqual([]);
  });
});
