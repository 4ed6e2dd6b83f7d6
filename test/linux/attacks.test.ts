// Attacks of a process in a container on the one who runs it: each passes here only because it fails there.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesOf } from '../helpers/cli.ts';
import { executorProgram } from '../helpers/executor.ts';
import { whyNoProbe } from '../helpers/probe.ts';
import { createProbeInstallation, type ProbeInstallation } from '../helpers/probe-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

describe.skipIf(whyNoContainers() || whyNoProbe())('a container', () => {
  let here: ProbeInstallation;
  const secret = `host-secret-${process.pid}`;

  beforeAll(async () => {
    process.env.GANTRY_TEST_SECRET = secret;
    here = await createProbeInstallation((tree) => {
      writeFileSync(join(tree, 'bin/script'), '#!/proc/self/exe\n', { mode: 0o755 });
    });
    here.env.GANTRY_TEST_SECRET = secret;
  });
  afterAll(async () => {
    delete process.env.GANTRY_TEST_SECRET;
    await here?.close();
  });

  it('cannot write to the program that starts it (CVE-2019-5736)', async () => {
    const before = hash(executorProgram);
    // Its own interpreter is the executor, in memory: sealed, and no file of the host.
    const through = await here.run('box', 'script');
    expect(through.status).not.toBe(0);
    const tries = 'sleep 0.1; for pid in /proc/[0-9]*; do (echo x > $pid/exe) 2>/dev/null && echo written; done; true';
    expect(await here.box('box', 'sh', '-c', tries)).toBe('');
    expect(hash(executorProgram)).toBe(before);
  });

  /** What a container finds that watches for processes entering it: numbers by name. */
  async function hunt(...flags: string[]): Promise<Record<string, number>> {
    const shared = mkdtempSync(join(here.dataRoot, 'hunt-'));
    chmodSync(shared, 0o755); // Where the container's root is not the host's.
    await here.background('hunter', '-v', `${shared}:/shared`, ...flags, 'box', 'probe', 'hunt', '60000', 'true');
    for (let i = 0; i < 3; i++) await Promise.all([1, 2, 3].map(() => here.ok('exec', 'hunter', 'true')));
    writeFileSync(join(shared, 'stop'), '');
    expect(await here.ok('wait', 'hunter')).toBe('0');
    const log = await here.ok('logs', 'hunter');
    await here.ok('rm', 'hunter');
    return Object.fromEntries([...log.matchAll(/(\w+) (\d+)/g)].map(([, name, count]) => [name!, Number(count)]));
  }

  it('cannot get hold of a process that enters it, before its program runs (CVE-2016-9962)', async () => {
    const found = await hunt();
    expect(found.seen).toBeGreaterThan(0);
    expect(found).toMatchObject({ held: 0 });
  });

  it('cannot write to the program that enters it, though it may trace it (CVE-2019-5736)', async () => {
    const before = hash(executorProgram);
    const found = await hunt('--cap-add', 'SYS_PTRACE');
    // What enters runs from memory, no file of the host, and nobody can change that memory.
    expect(found.memory).toBeGreaterThan(0);
    expect(found.sealed).toBe(found.memory);
    expect(found.written).toBe(0);
    expect(hash(executorProgram)).toBe(before);
  });

  it('that may trace its own ids only cannot trace what enters it from outside (CVE-2016-9962)', async () => {
    const found = await hunt('--userns', 'auto', '--cap-add', 'SYS_PTRACE');
    expect(found.seen).toBeGreaterThan(0);
    expect(found).toMatchObject({ held: 0, memory: 0 });
  });

  it('gets no descriptor of the host (CVE-2024-21626)', async () => {
    expect(await here.box('box', 'probe', 'fds')).toBe('0 open\n1 open\n2 open');
    await here.background('entered', 'box', 'sleep', '60');
    expect(await here.ok('exec', 'entered', 'probe', 'fds')).toBe('0 open\n1 open\n2 open');
    for (const place of [
      '/proc/self/fd/3',
      '/proc/self/fd/7',
      '/proc/self/fd/9/..',
      '/proc/self/cwd',
      '/proc/1/root',
    ]) {
      const started = await here.run('-w', place, 'box', 'pwd');
      expect(started.status, `run -w ${place}`).not.toBe(0);
      expect(started.stdout).toBe('');
    }
    for (let fd = 3; fd < 11; fd++) {
      const entered = await here.gantry('exec', '-w', `/proc/self/fd/${fd}`, 'entered', 'sh', '-c', 'pwd; ls ../..');
      expect(entered.status, `exec -w of fd ${fd}`).not.toBe(0);
      expect(entered.stdout).toBe('');
    }
    await here.ok('rm', '-f', 'entered');
  });

  it('cannot change a device node of the host through its descriptors', async () => {
    const before = statSync('/dev/null');
    expect(
      await here.box('box', 'sh', '-c', 'chmod 600 /dev/stdin && chown 7:7 /dev/stdin; stat -Lc %a /dev/stdin'),
    ).toBe('600');
    const { mode, uid, gid } = statSync('/dev/null');
    // Whatever happened, this machine goes on.
    chmodSync('/dev/null', before.mode & 0o777);
    chownSync('/dev/null', before.uid, before.gid);
    expect([mode, uid, gid]).toEqual([before.mode, before.uid, before.gid]);
    expect(await here.box('-u', '1000', 'box', 'sh', '-c', 'echo own > /dev/stdout')).toBe('own');
  });

  it('has no inheritable capabilities, and a user other than root none in effect (CVE-2022-24769)', async () => {
    const own = async (...args: string[]) => (await here.ok(...args)).split('\n').filter((line) => /^Cap/.test(line));
    const none = '0'.repeat(16);
    await here.background(
      'caps',
      '--security-opt',
      'no-new-privileges:true',
      '--ulimit',
      'nofile=77:77',
      'box',
      'sleep',
      '60',
    );
    for (const lines of [
      await own('run', '--rm', '--network', 'none', 'box', 'probe', 'status'),
      await own('exec', 'caps', 'probe', 'status'),
    ]) {
      expect(lines).toContain(`CapInh:\t${none}`);
      expect(lines).toContain(`CapAmb:\t${none}`);
      expect(lines).toContain('CapEff:\t00000000a80425fb');
    }
    for (const lines of [
      await own('run', '--rm', '--network', 'none', '-u', '1000', 'box', 'probe', 'status'),
      await own('exec', '-u', '1000', 'caps', 'probe', 'status'),
    ])
      for (const set of ['Inh', 'Prm', 'Eff', 'Amb']) expect(lines).toContain(`Cap${set}:\t${none}`);
    // What holds for the container holds for what enters it.
    expect(await here.ok('exec', 'caps', 'probe', 'status')).toMatch(/NoNewPrivs:\t1/);
    expect(await here.ok('exec', 'caps', 'probe', 'rlimits')).toMatch(/^7 77 77$/m);
    await here.ok('rm', '-f', 'caps');
  });

  it('is never run as root by a user that cannot be read (CVE-2024-40635)', async () => {
    await here.background('users', 'box', 'sleep', '60');
    const wrong = ['4294967296', '4294967295', '-1', '0x0', ' 0', 'nobody-here', '0:4294967296'];
    for (const user of wrong) {
      for (const command of [
        ['run', '--rm', '--network', 'none', '-u', user, 'box', 'id', '-u'],
        ['exec', '-u', user, 'users', 'id', '-u'],
      ]) {
        const { status, stdout } = await here.gantry(...command);
        expect(status, `${command[0]} -u "${user}"`).not.toBe(0);
        expect(stdout).toBe('');
      }
    }
    await here.ok('rm', '-f', 'users');
  });

  it('sees nothing of the environment of the one who runs it (CVE-2020-14370)', async () => {
    await here.background('environment', '-e', 'OWN=1', 'box', 'sleep', '60');
    const inside = [
      await here.box('box', 'probe', 'environment'),
      await here.ok('exec', 'environment', 'probe', 'environment'),
      await here.ok('exec', 'environment', 'cat', '/proc/1/environ'),
    ];
    for (const environment of inside) {
      expect(environment).not.toContain(secret);
      expect(environment).not.toContain('GANTRY');
      expect(environment).toContain('PATH=/bin');
    }
    await here.ok('rm', '-f', 'environment');
  });

  it('reaches no socket of its keepers, on the host network neither (CVE-2020-15257)', async () => {
    await here.ok('run', '-d', '--name', 'neighbour', '--network', 'host', 'box', 'sleep', '60');
    const inodes = new Set<string>();
    const keepers = processesOf(here.dataRoot);
    for (const pid of keepers)
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? [];
        if (inode !== undefined) inodes.add(inode);
      }
    const table = await here.ok('exec', 'neighbour', 'cat', '/proc/net/unix');
    const theirs = table
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => inodes.has(columns[6] ?? ''));
    const paths = theirs.flatMap((columns) => columns[7] ?? []);
    expect(paths.length).toBeGreaterThan(1);
    for (const path of paths) {
      expect(path).toMatch(/^\//);
      expect(statSync(path).mode & 0o777, path).toBe(0o600);
    }
    await here.ok('rm', '-f', 'neighbour');
  });
});
