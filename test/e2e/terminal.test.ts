// What a person at a terminal does: runs a shell, resizes, interrupts, detaches, comes back.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { openTerminal, whyNoTerminal } from '../helpers/terminal.ts';

const program = join(import.meta.dirname, '../../dist/cli/main.js');

describe.skipIf(whyNoContainers() || whyNoTerminal())('at a terminal', () => {
  const here = createInstallation();
  const { ok } = here;
  const gantry = (...args: string[]) => openTerminal(here.env, [process.execPath, program, ...args]);
  const running = (name: string): Promise<string> => ok('inspect', '-f', '{{.State.Running}}', name);

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('a shell echoes, knows the size of the window and feels its change, and gives its status on', async () => {
    const shell = gantry('run', '-it', '--rm', 'box');
    await shell.see('# ');
    shell.type('stty size; tty\r');
    await shell.see(/stty size; tty\r\n24 80\r\n\/dev\/pts\/0/);
    shell.resize(40, 123);
    await until(async () => {
      shell.type('stty size\r');
      await shell.see(/\d+ \d+\r\n/);
      return shell.shown.includes('40 123');
    }, 'the new size');
    shell.type('exit 7\r');
    expect(await shell.exit).toBe(7);
  });

  it('a program that asks before all else knows the size, in a container and beside its first', async () => {
    const asking = gantry('run', '-t', '--name', 'asking', 'box', 'sh', '-c', 'stty size; exec sleep 60');
    await asking.see(/^24 80\r/);
    const beside = gantry('exec', '-t', 'asking', 'stty', 'size');
    expect(await beside.exit).toBe(0);
    expect(beside.shown).toMatch(/^24 80\r/);
    expect(await ok('inspect', '-f', '{{.HostConfig.ConsoleSize}}', 'asking')).toBe('[24 80]');
    await ok('rm', '-f', 'asking');
    await asking.exit;
  });

  it('Ctrl-C reaches the program and not the command', async () => {
    const shell = gantry(
      'run',
      '-it',
      '--rm',
      'box',
      'sh',
      '-c',
      'trap "echo caught; exit 9" INT; echo ready; while true; do sleep 0.1; done',
    );
    await shell.see('ready');
    shell.type('\x03');
    await shell.see('caught');
    expect(await shell.exit).toBe(9);
  });

  it('Ctrl-P Ctrl-Q leaves the container running; two can attach; other keys can be chosen', async () => {
    const first = gantry('run', '-it', '--name', 'kept', 'box');
    await first.see('# ');
    // One of the keys alone is input as any other.
    first.type('echo a\x10b\r');
    await first.see('# ');
    first.type('\x10\x11');
    expect(await first.exit).toBe(0);
    expect(await running('kept')).toBe('true');
    const second = gantry('attach', 'kept');
    const third = gantry('attach', '--detach-keys', 'ctrl-a,x', 'kept');
    await until(async () => {
      second.type('echo two-$((1 + 1))\r');
      return second.shown.includes('two-2') && third.shown.includes('two-2');
    }, 'both to see it');
    third.type('\x01x');
    expect(await third.exit).toBe(0);
    second.type('\x10\x11');
    expect(await second.exit).toBe(0);
    expect(await running('kept')).toBe('true');
    await ok('rm', '-f', 'kept');
  });

  it('exec has a terminal of its own', async () => {
    await ok('run', '-d', '--name', 'host', 'box', 'sleep', '60');
    const shell = gantry('exec', '-it', '-e', 'PS1=inner> ', 'host', 'sh');
    await shell.see('inner> ');
    shell.type('tty; stty size\r');
    await shell.see(/\/dev\/pts\/\d+\r\n24 80/);
    shell.type('exit 4\r');
    expect(await shell.exit).toBe(4);
    const detached = gantry('exec', '-it', '--detach-keys', 'ctrl-e', 'host', 'sh');
    await detached.see('# ');
    detached.type('\x05');
    expect(await detached.exit).toBe(0);
    await ok('rm', '-f', 'host');
  });

  it('SIGTERM to the command is not lost where there is a terminal, and the terminal is as it was', async () => {
    const shell = openTerminal(here.env, [
      'sh',
      '-c',
      `${process.execPath} ${program} run -it --rm box sh -c 'exit 3'; stty -a | grep -o -- '-*icanon'; echo status $?`,
    ]);
    await shell.see(/icanon/);
    expect(shell.shown).not.toContain('-icanon');
    await shell.exit;
  });

  it('shows progress of cp and of load within 80 columns', async () => {
    await ok('create', '--name', 'target', 'box');
    const copy = gantry('cp', program, 'target:/tmp');
    expect(await copy.exit).toBe(0);
    expect(copy.shown).toMatch(/Successfully copied \d[\d.]*[kM]?B to target:\/tmp\r\n$/);
    for (const line of copy.shown.split(/[\r\n]+/)) expect(line.length).toBeLessThanOrEqual(80);
    await ok('rm', 'target');
  });
});
