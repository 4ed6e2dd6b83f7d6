// The command line with containers in a virtual machine: what users do, and that it is the guest that does it.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { release, tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasEnded, type Installation, until } from '../helpers/cli.ts';
import { openTerminal, whyNoTerminal } from '../helpers/terminal.ts';
import { binds } from './binds.ts';
import { whyNoGuest } from './guest.ts';
import { architecture, inVirtualMachine, loadBox, machines } from './installation.ts';

describe.skipIf(whyNoGuest(architecture))('containers in a virtual machine', () => {
  let here: Installation;
  const box = (...words: string[]) => here.gantry('run', '--rm', 'box', ...words);

  beforeAll(async () => {
    here = inVirtualMachine();
    await loadBox(here);
  });

  afterAll(async () => {
    const qemu = machines(here);
    await here.close();
    expect(qemu.map(hasEnded)).toEqual([true]);
  });

  it('tell what they see of their own kernel, not of this one', async () => {
    const page = await here.ok('run', '--rm', '-m', '64m', '--pids-limit', '50', '--cpus', '0.5', 'gantry/hello');
    for (const row of [
      /^ +memory +64 MiB$/m,
      /^ +processes +50$/m,
      /^ +CPU +0\.5 of a CPU's time$/m,
      /^ +\/ +overlay, writable$/m,
    ])
      expect(page).toMatch(row);
    const kernel = (await box('cat', '/proc/sys/kernel/osrelease')).stdout.trim();
    expect(kernel).toMatch(/^\d+\.\d+\.\d+-\d+-(amd64|arm64)$/);
    expect(kernel).not.toBe(release());
    expect((await box('cat', '/proc/self/cgroup')).stdout).toBe('0::/\n'); // v2
  });

  it('end as their programs do', async () => {
    expect(await box('sh', '-c', 'echo out; echo err >&2; exit 42')).toEqual({
      status: 42,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect((await box('sh', '-c', "sh -c 'kill -9 $$'; exit $?")).status).toBe(137);
    expect(await box('absent')).toMatchObject({
      status: 127,
      stderr: expect.stringContaining('executable file not found'),
    });
    expect((await box('/etc')).status).toBe(126);
    const greedy = ['sh', '-c', 'x=$(head -c 200m /dev/zero | tr "\\\\0" x)'];
    expect((await here.gantry('run', '--rm', '-m', '32m', '--memory-swap', '32m', 'box', ...greedy)).status).toBe(137);
  });

  it('are fed, however much that is', async () => {
    const input = 'line\n'.repeat(200_000);
    const counted = await here.pipe(input, 'run', '-i', '--rm', 'box', 'wc', '-c');
    expect(counted.stdout.trim()).toBe(String(input.length));
    expect((await here.pipe(input, 'run', '-i', '--rm', 'box', 'cat')).stdout === input).toBe(true);
    // Who does not read to the end holds up nobody.
    expect((await here.pipe(input, 'run', '-i', '--rm', 'box', 'head', '-n', '1')).stdout).toBe('line\n');
  });

  it('have logs, are entered, counted, paused, stopped, started again and removed', async () => {
    const script = 'trap "echo ending; exit 3" TERM; echo started; echo trouble >&2; while true; do sleep 0.1; done';
    await here.ok('run', '-d', '--name', 'long', '--pids-limit', '40', 'box', 'sh', '-c', script);
    await until(async () => (await here.gantry('logs', 'long')).stdout === 'started\n', 'its first line');
    expect(await here.gantry('exec', 'long', 'sh', '-c', 'hostname; echo more >> /file; exit 5')).toMatchObject({
      status: 5,
    });
    expect((await here.pipe('typed', 'exec', '-i', 'long', 'cat')).stdout).toBe('typed');
    expect(await here.ok('top', 'long')).toContain('trap "echo ending');
    expect(await here.ok('stats', '--no-stream', 'long')).toMatch(/long.* \d+$/);
    await here.ok('pause', 'long');
    expect(await here.ok('ps')).toContain('(Paused)');
    await here.ok('unpause', 'long');
    await here.ok('update', '--pids-limit', '30', 'long');
    expect(await here.ok('exec', 'long', 'cat', '/sys/fs/cgroup/pids.max')).toBe('30');
    await here.ok('stop', 'long');
    expect(await here.ok('inspect', '-f', '{{.State.ExitCode}}', 'long')).toBe('3');
    const { stdout, stderr } = await here.gantry('logs', 'long');
    expect([stdout, stderr]).toEqual(['started\nending\n', 'trouble\n']);
    // What it wrote is on the guest's disk.
    await here.ok('start', 'long');
    expect(await here.ok('exec', 'long', 'cat', '/file')).toBe('more');
    expect((await here.ok('logs', 'long')).split('\n')).toEqual(['started', 'ending', 'started']);
    await here.ok('rm', '-f', 'long');
  });

  it('keep no more of their logs than they were asked to', async () => {
    const options = ['--log-opt', 'max-size=10k', '--log-opt', 'max-file=2'];
    await here.ok(
      'run',
      '--name',
      'chatty',
      ...options,
      'box',
      'sh',
      '-c',
      'for i in $(seq 3000); do echo "number $i"; done',
    );
    const lines = (await here.ok('logs', 'chatty')).split('\n');
    expect(lines.at(-1)).toBe('number 3000');
    expect(lines.length).toBeLessThan(2000);
    await here.ok('rm', 'chatty');
  });

  it('share volumes, which are filled from the image and outlive them', async () => {
    const mount = ['-v', 'kept:/etc'];
    await here.ok('run', '--rm', ...mount, 'box', 'sh', '-c', 'echo mine > /etc/own');
    expect(
      await here.ok('run', '--rm', ...mount, 'box', 'sh', '-c', 'cat /etc/own; test -e /etc/passwd && echo filled'),
    ).toBe('mine\nfilled');
    await here.ok('volume', 'rm', 'kept');
    expect(await here.ok('run', '--rm', ...mount, 'box', 'sh', '-c', 'test -e /etc/own || echo new')).toBe('new');
    await here.ok('volume', 'rm', 'kept');
  });

  it('are copied from and to, running or not, even never started', async () => {
    await here.ok('create', '--name', 'still', 'box', 'cat', '/copied');
    const file = join(here.dataRoot, 'copied');
    await here.ok('cp', 'still:/etc/passwd', file);
    expect(readFileSync(file, 'utf8')).toContain('root:');
    await here.ok('cp', file, 'still:/copied');
    expect(await here.ok('start', '-a', 'still')).toBe(readFileSync(file, 'utf8').replace(/\n$/, ''));
    await here.ok('rm', 'still');
  });

  it('reach each other by name in a network of their own', async () => {
    await here.ok('network', 'create', 'inner');
    await here.ok('run', '-d', '--name', 'web', '--network', 'inner', 'box', 'httpd', '-f', '-h', '/var/www');
    expect(await here.ok('run', '--rm', '--network', 'inner', 'box', 'wget', '-qO-', 'http://web/')).toBe('served');
    await here.ok('rm', '-f', 'web');
    await here.ok('network', 'rm', 'inner');
  });

  it('serve published ports on this host, from the start on, until they end', async () => {
    await here.ok('run', '-d', '--name', 'web', '-p', '127.0.0.1::80', 'box', 'httpd', '-f', '-h', '/var/www');
    const [, port] = /:(\d+)$/.exec(await here.ok('port', 'web', '80')) ?? [];
    const get = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();
    await until(async () => (await get().catch(() => '')) === 'served\n', 'the server');
    expect(await Promise.all(Array.from({ length: 20 }, get))).toEqual(Array(20).fill('served\n'));
    await here.ok('rm', '-f', 'web');
    await expect(get()).rejects.toThrow('fetch failed');
  });

  it.skipIf(whyNoTerminal())('have terminals whose size follows', async () => {
    const program = join(import.meta.dirname, '../../dist/cli/main.js');
    const shell = openTerminal(here.env, [process.execPath, program, 'run', '-it', '--rm', 'box']);
    await shell.see('# ');
    shell.type('stty size; tty\r');
    await shell.see(/24 80\r\n\/dev\/pts\/0/);
    shell.resize(40, 123);
    await until(async () => {
      shell.type('stty size\r');
      await shell.see(/\d+ \d+\r\n/);
      return shell.shown.includes('40 123');
    }, 'the new size');
    shell.type('exit 7\r');
    expect(await shell.exit).toBe(7);
  });

  binds(() => here);

  it('are checked by doctor with their machine', async () => {
    expect(await here.ok('doctor')).toMatch(/^✓ virtual machine +guest by tcg; .*QEMU \d/m);
  });

  it('leave nothing on the guest’s disk that has gone here', async () => {
    const first = await here.ok('run', '-d', 'box', 'true');
    await here.ok('wait', first);
    await here.ok('rm', first);
    // Seen from a container of the guest with all of it: its root file system, by the first process.
    const look = [
      'run',
      '--rm',
      '--privileged',
      '--pid',
      'host',
      'box',
      'ls',
      `/proc/1/root${here.dataRoot}/containers`,
    ];
    await until(async () => (await here.ok(...look)).split('\n').length === 1, 'the removal');
  });

  it('run in another machine when theirs has died; what is on its disk stays', async () => {
    await here.ok(
      'run',
      '-d',
      '--name',
      'victim',
      '-v',
      'lasting:/data',
      'box',
      'sh',
      '-c',
      'echo kept > /data/file; sync; exec sleep 1000',
    );
    await until(async () => (await here.gantry('exec', 'victim', 'cat', '/data/file')).stdout === 'kept\n', 'the file');
    const [qemu] = machines(here);
    process.kill(qemu!, 'SIGKILL');
    await until(
      async () => (await here.ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'victim')) === 'exited 137',
      'its end',
    );
    expect(await here.ok('run', '--rm', '-v', 'lasting:/data', 'box', 'cat', '/data/file')).toBe('kept');
    expect(machines(here)).not.toContain(qemu);
    await here.ok('rm', 'victim');
    await here.ok('volume', 'rm', 'lasting');
  });
});

describe.skipIf(whyNoGuest(architecture))('an engine whose virtual machine cannot be booted', () => {
  it.each([
    ['has an old QEMU', ['PATH=OLD'], /qemu-system-\S+" is QEMU 5\.2\.0\nHint: /],
    ['has no image', ['GANTRY_VM_IMAGE=/nowhere'], /Cannot find the guest image for \S+ in "\/nowhere"\nHint: /],
    ['is asked for too much', ['GANTRY_VM_MEMORY=plenty'], /GANTRY_VM_MEMORY "plenty"/],
    ['is asked for an unknown accelerator', ['GANTRY_VM_ACCELERATOR=xen'], /Cannot read GANTRY_VM_ACCELERATOR "xen"/],
  ])('because it %s says so, and still knows its images', async (_name, variables, message) => {
    const old = mkdtempSync(join(tmpdir(), 'gantry-old-qemu-'));
    writeFileSync(join(old, `qemu-system-${architecture}`), '#!/bin/sh\necho "QEMU emulator version 5.2.0"\n', {
      mode: 0o755,
    });
    const here = inVirtualMachine(
      ...variables.map((text) => text.replace('PATH=OLD', `PATH=${old}:${process.env.PATH}`)),
    );
    try {
      const { status, stderr } = await here.gantry('run', '--rm', 'gantry/hello');
      expect(status).toBe(125);
      expect(stderr).toMatch(message);
      expect(await here.ok('images', '-a')).toMatch(/^REPOSITORY/);
      expect(existsSync(join(here.dataRoot, 'run/vm/vm.sock'))).toBe(false);
    } finally {
      await here.close();
      rmSync(old, { recursive: true });
    }
  });
});
