// The life of a virtual machine: it outlives an engine that was killed, is resumed from a snapshot, and loses nothing when it dies.
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasEnded, type Installation, until } from '../helpers/cli.ts';
import { whyNoGuest } from './guest.ts';
import { architecture, inVirtualMachine, loadBox, machines } from './installation.ts';

describe.skipIf(whyNoGuest(architecture))('a virtual machine', () => {
  let here: Installation;
  const box = (...words: string[]) => here.ok('run', '--rm', 'box', ...words);
  const log = (): string => readFileSync(join(here.dataRoot, 'engine.log'), 'utf8');
  const record = (): { pid: number; resumed: boolean } =>
    JSON.parse(readFileSync(join(here.dataRoot, 'run/vm/machine.json'), 'utf8'));
  const snapshot = (): string => {
    const parent = join(here.dataRoot, 'vm');
    const names = readdirSync(parent).filter((name) => name.startsWith('snapshot-'));
    expect(names).toHaveLength(1);
    return join(parent, names[0]!);
  };

  const endEngine = async (): Promise<void> => {
    const engine = here.enginePid()!;
    process.kill(engine, 'SIGTERM');
    await until(() => hasEnded(engine), 'the end of the engine');
  };

  /** The guest's own, seen from a container that has all of it. */
  const identity = async (): Promise<string[]> => {
    const script =
      'cat /proc/1/root/etc/machine-id /proc/sys/kernel/random/boot_id; hostname; cat /proc/sys/kernel/random/uuid';
    const words = ['run', '--rm', '--privileged', '--pid', 'host', '--uts', 'host', 'box', 'sh', '-c', script];
    return (await here.ok(...words)).split('\n');
  };

  beforeAll(async () => {
    here = inVirtualMachine();
    await loadBox(here);
    await box('true');
  });

  afterAll(async () => {
    const qemu = machines(here);
    await here.close();
    expect(qemu.filter((pid) => !hasEnded(pid))).toEqual([]);
  });

  it('is controlled by its user alone', () => {
    const mode = (name: string): number => statSync(join(here.dataRoot, name)).mode & 0o777;
    expect([mode('run/vm'), mode('run/vm/qmp.sock'), mode('vm')]).toEqual([0o700, 0o600, 0o700]);
    expect(readFileSync(`/proc/${record().pid}/cmdline`, 'utf8')).not.toMatch(/tcp:|:\d{4}/);
  });

  it('outlives an engine that was killed, with its containers, what they say, and how they end', async () => {
    const [qemu] = machines(here);
    const count = 'i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done';
    await here.ok('run', '-d', '--name', 'web', '-p', '127.0.0.1::80', 'box', 'httpd', '-f', '-h', '/var/www');
    await here.ok('run', '-d', '--name', 'counter', 'box', 'sh', '-c', count);
    await here.ok('run', '-d', '--name', 'ender', 'box', 'sh', '-c', 'sleep 1; echo ended; exit 7');
    const address = await here.ok('port', 'web', '80');
    const engine = here.enginePid()!;
    process.kill(engine, 'SIGKILL');
    await until(() => hasEnded(engine), 'the end of the engine');
    expect(await here.ok('ps', '--format', '{{.Names}}')).toMatch(/counter/);
    expect(machines(here)).toEqual([qemu]);
    expect(await here.ok('wait', 'ender')).toBe('7');
    expect(await here.ok('logs', 'ender')).toBe('ended');
    expect(await here.ok('exec', 'counter', 'echo', 'entered')).toBe('entered');
    expect(await (await fetch(`http://${address}/`)).text()).toBe('served\n');
    await here.ok('stop', '-t', '0', 'counter');
    const lines = (await here.ok('logs', 'counter')).split('\n').map(Number);
    // None is there twice; what was on its way at that moment is lost, and all else is there.
    const gaps = lines.filter((line, index) => index > 0 && line !== lines[index - 1]! + 1);
    expect(lines).toEqual([...new Set(lines)].sort((a, b) => a - b));
    expect([lines[0], gaps.length <= 1, lines.length > 5]).toEqual([1, true, true]);
    await here.ok('rm', '-f', 'web', 'counter', 'ender');
  });

  it('follows the clock of a host that has slept', async () => {
    const words = ['run', '--rm', '--privileged', 'box', 'date'];
    await here.ok(...words, '-s', '2020-01-01 00:00:00');
    const stopped = [here.enginePid()!, record().pid];
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    await sleep(3500); // What is tried is that nobody looks for so long.
    for (const pid of stopped) process.kill(pid, 'SIGCONT');
    const behind = async (): Promise<number> => {
      const before = Date.now() / 1000;
      const there = Number(await here.ok(...words, '+%s'));
      return Math.max(before - 1 - there, there - Date.now() / 1000);
    };
    await until(async () => (await behind()) <= 1, 'the time');
  });

  it('ends with an engine for which nothing runs, and is resumed as another machine', async () => {
    const seen = [await identity()];
    for (let resume = 0; resume < 2; resume++) {
      const { pid } = record();
      await endEngine();
      expect(hasEnded(pid)).toBe(true);
      seen.push(await identity());
      expect(record()).toMatchObject({ resumed: true });
    }
    const [first = [], second = [], third = []] = seen;
    expect(first[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(first).toHaveLength(4);
    expect(first[2]).toBe(`gantry-${first[0]!.slice(0, 8)}`);
    for (const [index, value] of first.entries())
      expect(new Set([value, second[index], third[index]]).size, value).toBe(3);
    expect(log()).not.toMatch(/snapshot/);
  });

  it('boots where its snapshot is damaged, says so, and makes a new one', async () => {
    await endEngine();
    const state = join(snapshot(), 'state');
    const file = openSync(state, 'r+');
    writeSync(file, 'damage', Math.floor(statSync(state).size / 2));
    closeSync(file);
    expect(await box('echo', 'works')).toBe('works');
    expect(log().match(/The snapshot of the virtual machine is not used.*/g)).toEqual([
      expect.stringContaining('its content has changed'),
    ]);
    await endEngine();
    expect(await box('echo', 'works')).toBe('works');
    expect(record().resumed).toBe(true);
    expect(log()).not.toMatch(/snapshot/);
  });

  it('that is killed while it writes keeps what was synced, and its containers say why they ended', async () => {
    const script =
      'i=0; while true; do i=$((i+1)); dd if=/dev/zero of=/data/$i bs=50000 count=1 conv=fsync 2>/dev/null; echo $i; done';
    await here.ok('run', '-d', '--name', 'writer', '-v', 'lasting:/data', 'box', 'sh', '-c', script);
    await until(async () => (await here.gantry('logs', 'writer')).stdout.split('\n').length > 5, 'some files');
    process.kill(record().pid, 'SIGKILL');
    await until(async () => (await here.ok('inspect', '-f', '{{.State.Status}}', 'writer')) === 'exited', 'its end');
    expect(await here.ok('inspect', '-f', '{{.State.ExitCode}} {{.State.Error}}', 'writer')).toBe(
      '137 The virtual machine has ended: QEMU ended with SIGKILL',
    );
    const last = Number((await here.ok('logs', 'writer')).split('\n').at(-1));
    const sizes = `for i in $(seq ${last}); do stat -c %s /data/$i; done`;
    expect((await here.ok('run', '--rm', '-v', 'lasting:/data', 'box', 'sh', '-c', sizes)).split('\n')).toEqual(
      Array(last).fill('50000'),
    );
    await here.ok('rm', 'writer');
    await here.ok('volume', 'rm', 'lasting');
  });

  it('is one for each data root, and is switched off where nobody uses it', async () => {
    const other = inVirtualMachine('GANTRY_VM_IDLE=1');
    try {
      await loadBox(other);
      const id = await other.ok('run', '-d', 'box', 'sleep', '1000');
      const [qemu] = machines(other);
      expect(machines(here)).not.toContain(qemu);
      expect(await box('echo', 'here')).toBe('here');
      // A container is use, however long nobody asks for anything.
      await sleep(2000);
      expect(hasEnded(qemu!)).toBe(false);
      await other.ok('rm', '-f', id);
      const engine = other.enginePid();
      await until(() => hasEnded(qemu!), 'the end of the machine');
      expect(await other.ok('run', '--rm', 'box', 'echo', 'again')).toBe('again');
      expect(other.enginePid()).toBe(engine);
    } finally {
      await other.close();
    }
  });

  it('is started, told of, stopped and reset by its user', async () => {
    await endEngine();
    const info = async (): Promise<{ state: string; diskBytes: number; snapshotBytes: number }> =>
      JSON.parse(await here.ok('machine', 'info', '--format', 'json'));
    // Nobody needs it for what lies on this side.
    await here.ok('images');
    expect(await info()).toMatchObject({ state: 'stopped' });
    expect(machines(here)).toEqual([]);
    await here.ok('machine', 'start');
    const [pid] = machines(here);
    expect(await info()).toMatchObject({ state: 'running', running: { pid, accelerator: 'tcg', memoryMb: 768 } });
    expect(await here.ok('machine', 'info')).toMatch(/^State: +running$/m);
    const script = 'trap "exit 3" TERM; while true; do sleep 0.1; done';
    await here.ok('run', '-d', '--name', 'polite', '-v', 'lasting:/data', 'box', 'sh', '-c', script);
    await here.ok('machine', 'stop');
    expect(await info()).toMatchObject({ state: 'stopped' });
    expect(hasEnded(pid!)).toBe(true);
    expect(await here.ok('inspect', '-f', '{{.State.ExitCode}}', 'polite')).toBe('3');
    expect(await here.gantry('machine', 'reset')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/--force/),
    });
    await here.ok('machine', 'reset', '--force');
    expect(await info()).toMatchObject({ state: 'stopped', diskBytes: 0, snapshotBytes: 0 });
    expect([await here.ok('ps', '-aq'), await here.ok('volume', 'ls', '-q')]).toEqual(['', '']);
    expect(await here.gantry('machine', 'ssh')).toMatchObject({
      stderr: expect.stringMatching(/no shell .*--pid host/),
    });
  });
});
