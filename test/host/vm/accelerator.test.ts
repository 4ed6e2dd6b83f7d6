// Which accelerators are tried on which host, what is remembered of them, and how a QEMU is found or not.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { candidates, type HostMachine, hostMachine, recall, remember } from '../../../host/vm/accelerator.ts';
import { findQemu } from '../../../host/vm/find-qemu.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'gantry-accelerator-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('accelerators', () => {
  const host = (platform: NodeJS.Platform, architecture: HostMachine['architecture']): HostMachine => ({
    ...hostMachine(),
    platform,
    architecture,
  });

  it('are those of the platform, then the interpreter', () => {
    expect(candidates(host('darwin', 'aarch64'), 'aarch64')).toEqual(['hvf', 'tcg']);
    expect(candidates(host('win32', 'x86_64'), 'x86_64')).toEqual(['whpx', 'tcg']);
    expect(candidates(host('linux', 'x86_64'), 'x86_64').at(-1)).toBe('tcg');
    expect(candidates(host('freebsd', 'x86_64'), 'x86_64')).toEqual(['tcg']);
  });

  it('do not run the guests of another architecture', () => {
    for (const platform of ['linux', 'darwin', 'win32'] as const) {
      expect(candidates(host(platform, 'aarch64'), 'x86_64')).toEqual(['tcg']);
      expect(candidates(host(platform, 'x86_64'), 'aarch64')).toEqual(['tcg']);
    }
  });

  it('are remembered for the same host and QEMU only, and a damaged memory is none', () => {
    const path = join(directory, 'inner/accelerator.json');
    const verdict = {
      accelerator: 'tcg' as const,
      failed: { kvm: 'the guest did not answer in 8 s' },
      identity: 'here',
    };
    expect(recall(path, 'here')).toBeUndefined();
    remember(path, verdict);
    expect(recall(path, 'here')).toEqual(verdict);
    expect(recall(path, 'elsewhere')).toBeUndefined();
    writeFileSync(path, '{"accel');
    expect(recall(path, 'here')).toBeUndefined();
  });
});

describe('QEMU', () => {
  const program = (script: string): string => {
    const path = mkdtempSync(join(directory, 'path-'));
    writeFileSync(join(path, 'qemu-system-x86_64'), `#!/bin/sh\n${script}\n`);
    chmodSync(join(path, 'qemu-system-x86_64'), 0o755);
    return path;
  };

  it('is found with its version, as every vendor writes it', async () => {
    const path = program('echo "QEMU emulator version 9.1.0 (v9.1.0-dirty)"; echo Copyright');
    expect(await findQemu('x86_64', 'linux', path)).toEqual({
      path: join(path, 'qemu-system-x86_64'),
      version: '9.1.0',
    });
  });

  it.each([
    ['too old', 'echo "QEMU emulator version 5.2.0"', /is QEMU 5\.2\.0$/],
    ['no QEMU', 'echo hello', /does not tell its version$/],
    ['broken', 'exit 1', /does not tell its version$/],
  ])('that is %s is refused with a hint', async (_name, script, message) => {
    await expect(findQemu('x86_64', 'linux', program(script))).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/\S/),
    });
  });

  it('that is missing is told how to install, by platform', async () => {
    // A platform whose usual places this machine does not have.
    const hints: [NodeJS.Platform, RegExp][] = [
      ['darwin', /brew install qemu/],
      ['win32', /winget install/],
      ['freebsd', /Install QEMU/],
    ];
    for (const [platform, hint] of hints)
      await expect(findQemu('x86_64', platform, '/nowhere')).rejects.toMatchObject({
        message: expect.stringMatching(/is not in PATH$/),
        hint: expect.stringMatching(hint),
      });
  });
});
