// An engine dies right before each file, frame and child that an operation is made of: the next one finds all of it, or nothing.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import type { Answer } from '../helpers/engine-call.ts';
import { mortalEngine, remains } from '../helpers/mortal-engine.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

/** Each so-manieth point, from another one at each run; GANTRY_STRIDE=1 takes all, and some minutes. */
const STRIDE = Number(process.env.GANTRY_STRIDE ?? 5);
const SEED = Number(process.env.GANTRY_SEED ?? Date.now() % 1000);
/** More than any operation has. */
const MOST = 200;

/** TERM ends it with 7. */
const WRITER = 'trap "exit 7" TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done';

interface Inspect {
  Id: string;
  State: { Status: string; ExitCode: number; Pid: number };
  NetworkSettings: { Networks: Record<string, object> };
}

describe.skipIf(whyNoContainers() || whyNoRegistry())('an engine that dies', () => {
  const here = createInstallation();
  const control = join(here.dataRoot, 'die-at');
  here.env.GANTRY_DIE_AT = control;
  const engine = mortalEngine(here, ['--require', join(import.meta.dirname, '../fixtures/die-at.cjs')]);
  const ids = new Set<string>();
  let registry: TestRegistry;
  let archive: Buffer;
  let words = 0;

  beforeAll(async () => {
    registry = await startRegistry();
    await engine.start();
    const tree = busyboxTree();
    const path = makeArchive(tree, 'box:latest');
    await here.ok('load', '-i', path);
    registry.push(path, 'box:1');
    writeFileSync(join(tree, 'etc/other'), 'other\n');
    archive = readFileSync(makeArchive(tree, 'other:latest'));
    await here.ok('network', 'create', 'net');
    ids.add(((await json('/networks/net')) as { Id: string }).Id);
  });
  afterAll(async () => {
    await here.close();
    await registry.close();
  });

  const json = async (path: string): Promise<unknown> => JSON.parse((await engine.ask(path)).body.toString());
  const status = async (path: string): Promise<number> => (await engine.ask(path)).status;
  const post = (path: string, body?: object): Promise<Answer | undefined> => engine.call('POST', path, body);

  /** Of container "box1"; undefined: there is none. */
  async function look(): Promise<Inspect | undefined> {
    if ((await status('/containers/box1/json')) !== 200) return undefined;
    const found = (await json('/containers/box1/json')) as Inspect;
    ids.add(found.Id);
    return found;
  }
  const create = (): Promise<Answer | undefined> => {
    const HostConfig = { PortBindings: { '80/tcp': [{ HostPort: '0' }] } };
    const Cmd = ['sh', '-c', WRITER];
    return post('/containers/create?name=box1', { Image: 'box', Cmd, HostConfig, Volumes: { '/data': {} } });
  };
  const start = (): Promise<Answer | undefined> => post('/containers/box1/start');
  /** Runs already, or from now on. */
  const begun = async (): Promise<void> => {
    const found = await look();
    if (found === undefined) await create();
    if (found?.State.Status !== 'running') await start();
  };
  const remove = (): Promise<Answer | undefined> => engine.call('DELETE', '/containers/box1?force=1&v=1');

  /** A container is what it says it is: a running one has a process and an interface in each network. */
  async function expectWhole(allowed: (string | undefined)[], where: string): Promise<Inspect | undefined> {
    const found = await look();
    expect(allowed, where).toContain(found?.State.Status);
    if (found?.State.Status === 'running') {
      expect(existsSync(`/proc/${found.State.Pid}`), where).toBe(true);
      const links = readdirSync(`/proc/${found.State.Pid}/root/sys/class/net`).filter((name) => name !== 'lo');
      expect(links, where).toHaveLength(Object.keys(found.NetworkSettings.Networks).length);
    }
    return found;
  }

  interface Operation {
    prepare?(): Promise<unknown>;
    run(): Promise<Answer | undefined>;
    /** @param done nobody died. */
    check(where: string, done: boolean): Promise<unknown>;
    undo?(): Promise<unknown>;
  }

  /** Tells at how many points it died. */
  async function dieEverywhere(name: string, { prepare, run, check, undo }: Operation): Promise<number> {
    let deaths = 0;
    for (let number = SEED % STRIDE; number < MOST; number += STRIDE) {
      await prepare?.();
      writeFileSync(control, `${number} ${words++}`);
      const answer = await run();
      // What goes on behind the answer is a part of it.
      if (answer !== undefined) await new Promise((resolve) => setTimeout(resolve, 150));
      const done = existsSync(control);
      rmSync(control, { force: true });
      if (!done) {
        await until(engine.hasDied, 'the death');
        await engine.start();
        deaths++;
      } else expect(answer?.status, `${name}: ${answer?.body}`).toBeLessThan(400);
      const log = existsSync(`${control}.log`) ? readFileSync(`${control}.log`, 'utf8').trim().split('\n').at(-1) : '';
      await check(done ? `${name}, nobody died` : `${name}, death at ${log}`, done);
      await undo?.();
      if (done) return deaths;
    }
    throw new Error(`${name} has more points than ${MOST}`);
  }

  const cases: Record<string, Operation> = {
    create: { run: create, check: (where) => expectWhole([undefined, 'created'], where), undo: remove },
    start: {
      prepare: create,
      run: start,
      check: (where, done) => expectWhole(done ? ['running'] : ['created', 'running'], where),
      undo: remove,
    },
    exec: {
      prepare: begun,
      async run() {
        const made = await post('/containers/box1/exec', { Cmd: ['echo', 'said'], AttachStdout: true });
        if (made?.status !== 201) return made;
        const { Id } = JSON.parse(made.body.toString()) as { Id: string };
        return post(`/exec/${Id}/start`, { Detach: false, Tty: true });
      },
      check: (where) => expectWhole(['running'], where),
    },
    'network connect': {
      async prepare() {
        await begun();
        await post('/networks/net/disconnect', { Container: 'box1', Force: true });
      },
      run: () => post('/networks/net/connect', { Container: 'box1' }),
      check: (where) => expectWhole(['running'], where),
    },
    'network disconnect': {
      async prepare() {
        await begun();
        await post('/networks/net/connect', { Container: 'box1' });
      },
      run: () => post('/networks/net/disconnect', { Container: 'box1' }),
      check: (where) => expectWhole(['running'], where),
    },
    commit: {
      prepare: begun,
      run: () => post('/commit?container=box1&repo=made&tag=1'),
      async check(where, done) {
        await expectWhole(['running'], where);
        expect(done ? [200] : [200, 404], where).toContain(await status('/images/made:1/json'));
        expect((await post('/commit?container=box1&repo=made&tag=1'))?.status, where).toBe(201);
      },
      undo: () => engine.call('DELETE', '/images/made:1'),
    },
    stop: {
      prepare: begun,
      run: () => post('/containers/box1/stop?t=5'),
      async check(where, done) {
        const found = await expectWhole(done ? ['exited'] : ['exited', 'running'], where);
        // It was asked to end before anybody died, or goes on.
        if (found?.State.Status === 'exited') expect(found.State.ExitCode, where).toBe(7);
      },
    },
    remove: {
      prepare: begun,
      run: remove,
      check: (where, done) => expectWhole(done ? [undefined] : [undefined, 'exited', 'running'], where),
    },
    load: {
      run: () => loadArchive(),
      async check(where, done) {
        expect(done ? [200] : [200, 404], where).toContain(await status('/images/other/json'));
        expect((await loadArchive())?.status, where).toBe(200);
        expect(await status('/images/other/json'), where).toBe(200);
      },
      undo: () => engine.call('DELETE', '/images/other'),
    },
    pull: {
      run: () => post(`/images/create?fromImage=${registry.host}/box&tag=1`),
      async check(where, done) {
        expect(done ? [200] : [200, 404], where).toContain(await status(`/images/${registry.host}/box:1/json`));
        expect((await post(`/images/create?fromImage=${registry.host}/box&tag=1`))?.status, where).toBe(200);
        expect(await status(`/images/${registry.host}/box:1/json`), where).toBe(200);
      },
      undo: () => engine.call('DELETE', `/images/${registry.host}/box:1`),
    },
  };

  const loadArchive = (): Promise<Answer | undefined> => engine.send('POST', '/images/load', archive);

  it.each(Object.keys(cases))('before each step of: %s', async (name) => {
    const began = Date.now();
    const deaths = await dieEverywhere(name, cases[name]!);
    console.log(`${name}: ${deaths} deaths in ${Date.now() - began} ms (seed ${SEED})`);
    expect(deaths).toBeGreaterThan(0);
  });

  it('leaves nothing', async () => {
    await remove();
    await here.ok('network', 'rm', 'net');
    expect(await here.ok('volume', 'ls', '-q')).toBe('');
    await engine.close();
    const left = (): string[] => remains(here, [...ids]);
    await until(() => left().length === 0, 'nothing to be left').catch(() => {});
    expect(left()).toEqual([]);
  });
});
