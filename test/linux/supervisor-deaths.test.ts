// Supervisors are killed at every step of a slot's and a container's life: no cgroup is left once another engine has looked.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../host/backend.ts';
import { planContainer } from '../../host/core/plans.ts';
import { createLinuxBackend } from '../../host/linux/backend.ts';
import { processesOf, until } from '../helpers/cli.ts';
import { executorProgram } from '../helpers/executor.ts';
import { orphanedCgroups } from '../helpers/orphans.ts';
import { planRequest } from '../helpers/plan-requests.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const reason =
  whyNoContainers() ||
  (spawnSync('strace', ['-V']).status === 0 ? '' : 'strace is not installed') ||
  (process.arch === 'x64' ? '' : 'the system calls named here are those of x86-64') ||
  (existsSync('/sys/fs/cgroup/memory/cgroup.procs') ? '' : 'this host has no cgroup v1');
if (reason) console.log(`Deaths of supervisors are not tested: ${reason}`);

/** A system call that each supervisor dies at, and at which of its calls. */
type Death = [name: string, call: number];
const at = (name: string, ...calls: number[]): Death[] => calls.map((call) => [name, call]);

const whilePrepared: Death[] = [
  ...at('sendto', 1, 2),
  ...at('mkdirat', 1, 8),
  ...at('mkdir', 1, 2, 4, 8),
  ...at('setxattr', 1, 5, 8),
  ...at('socketpair', 1),
  ...at('recvmsg', 1),
];
const whileRunning: Death[] = [
  ...at('renameat2', 1, 2, 5, 8),
  ...at('recvmsg', 2, 3, 4),
  ...at('sendto', 3),
  ...at('waitid', 1),
  ...at('rename', 1),
  ...at('unlinkat', 1, 4, 8),
];

describe.skipIf(reason)('a supervisor that is killed', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-deaths-'));
  let engines = 0;

  beforeAll(() => {
    for (const name of ['root/bin', 'empty', 'empty-mask']) mkdirSync(join(directory, name), { recursive: true });
    copyFileSync('/bin/busybox', join(directory, 'root/bin/busybox'));
    for (const name of ['sh', 'true', 'sleep']) symlinkSync('busybox', join(directory, 'root/bin', name));
    for (const name of ['hosts', 'hostname', 'resolv.conf']) writeFileSync(join(directory, name), `${name}\n`);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** @param death of each of its supervisors; none without it. */
  function openBackend(death?: Death): Backend {
    const stateDirectory = join(directory, `run-${engines++}`);
    if (death === undefined) return createLinuxBackend({ stateDirectory });
    const executorBinary = join(directory, `mortal-${engines}`);
    const inject = `inject=${death[0]}:signal=KILL:when=${death[1]}`;
    const trace = `strace -f -qqq -o /dev/null -e trace=${death[0]} -e ${inject}`;
    writeFileSync(executorBinary, `#!/bin/sh\nexec ${trace} ${executorProgram} "$@"\n`);
    chmodSync(executorBinary, 0o755);
    return createLinuxBackend({ stateDirectory, executorBinary });
  }

  async function start(backend: Backend, command: string[]) {
    const slot = backend.reserveSlot();
    const own = mkdtempSync(join(directory, 'c-'));
    for (const name of ['upper', 'work']) mkdirSync(join(own, name));
    const request = planRequest(await backend.facts(), (made) => {
      made.id = randomBytes(32).toString('hex');
      made.container.command = command;
      made.rootfs = {
        lower: [join(directory, 'root')],
        upper: join(own, 'upper'),
        work: join(own, 'work'),
        volatile: true,
      };
      made.paths = {
        hosts: join(directory, 'hosts'),
        hostname: join(directory, 'hostname'),
        resolvConf: join(directory, 'resolv.conf'),
        controlSocket: join(own, 'control'),
        log: join(own, 'log'),
        exitRecord: join(own, 'exit.json'),
        init: '',
        emptyDirectory: join(directory, 'empty'),
      };
      if (slot !== undefined) made.pooledSlot = slot;
    });
    const plan = planContainer(request);
    const recovery = { exitRecord: request.paths.exitRecord, teardown: plan.teardown };
    return {
      id: request.id,
      slot,
      running: await backend.start(plan, { slot, recovery, attachOutput: false, attachStdin: false }),
    };
  }

  /** Others may be at work on this machine: theirs come and go. */
  async function expectNone(when: string): Promise<void> {
    let left: string[] = [];
    const isNone = (): boolean => {
      left = orphanedCgroups().dead;
      return left.length === 0;
    };
    await until(isNone, `no cgroup to be left, ${when}`).catch(() => {});
    expect(left, when).toEqual([]);
  }

  /** What another engine does when it starts. */
  async function sweep(): Promise<void> {
    const other = openBackend();
    await other.prepare();
    await other.close();
  }

  /** Of supervisors that died between a cgroup and its name; others' are younger. */
  async function sweepNameless(): Promise<void> {
    const mine = (path: string): boolean => path.includes('/slot-');
    const nameless = orphanedCgroups().nameless.filter(mine);
    for (const path of nameless) if (existsSync(path)) utimesSync(path, 0, 0);
    await sweep();
    expect(orphanedCgroups().nameless.filter((path) => nameless.includes(path))).toEqual([]);
  }

  it.each(whilePrepared)('while it prepares a slot, at %s %i', async (...death) => {
    const mortal = openBackend(death);
    await mortal.prepare();
    expect(mortal.reserveSlot()).toBeUndefined();
    await mortal.close();
    if (death[0] === 'setxattr') await sweepNameless();
    await sweep();
    await expectNone(death.join(' '));
  });

  it.each(whileRunning)('while it starts, runs or tears down a container, at %s %i', async (...death) => {
    const mortal = openBackend(death);
    await mortal.prepare();
    const outcome = await start(mortal, ['true'])
      .then(async ({ running }) => {
        await running.exited;
        await running.tornDown;
        return 'ran';
      })
      .catch((error: Error) => error.message);
    if (death[0] === 'renameat2') expect(outcome).toMatch(/supervisor ended without a word/);
    // Its own engine has seen it die and has undone what it left; but here whoever removes a cgroup dies.
    if (death[0] === 'unlinkat') await sweep();
    await expectNone(death.join(' '));
    await mortal.close();
    await sweep();
    await expectNone(death.join(' '));
  });

  it('leaves nothing of a container that runs, of one that is paused, or of a slot that waits', async () => {
    const backend = openBackend();
    await backend.prepare();
    const { slot, running } = await start(backend, ['sleep', '1000']);
    expect(slot).toBeDefined();
    const paused = await start(backend, ['sleep', '1000']);
    await backend.pause(paused.id, '');
    process.kill(parentOf(paused.running.pid), 'SIGKILL');
    process.kill(parentOf(running.pid), 'SIGKILL');
    expect((await running.exited).exitCode).toBe(137);
    await Promise.all([running.tornDown, paused.running.tornDown]);
    await expectNone('killed while it ran');
    const waiting = supervisorsOf(directory);
    expect(waiting.length).toBeGreaterThan(0);
    for (const pid of waiting) process.kill(pid, 'SIGKILL');
    await expectNone('killed while it waited');
    await backend.close();
  });
});

/** And their launchers, which have the same name. */
function supervisorsOf(directory: string): number[] {
  return processesOf(directory).filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('gantry-super'));
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
