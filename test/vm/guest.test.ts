// The harness itself: a guest that fails says why, and nothing of it stays.
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { startGuest, whyNoGuest } from './guest.ts';

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const directories = (): string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith(`gantry-guest-${process.pid}-`));

/** Command lines of QEMUs that this process has started. */
const machines = (): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const parent = / \S (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/, ')'))?.[1];
        return Number(parent) === process.pid ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8')] : [];
      } catch {
        return []; // It has ended meanwhile.
      }
    })
    .filter((command) => command.startsWith('qemu-system-'));

describe.skipIf(whyNoGuest(architecture))('a guest', () => {
  it('that cannot start says why, and leaves nothing', async () => {
    const files = [{ path: 'modules/order', file: Buffer.from('absent.ko\n') }];
    await expect(startGuest(architecture, { files })).rejects.toThrow(
      /^The guest ended\n.*modules\/absent.ko: No such file/s,
    );
    expect(directories()).toEqual([]);
    expect(machines()).toEqual([]);
  });
});
