// QEMU's command lines for every host that gantry knows, as text; and the sizes of guests.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type GuestSpec, guestSize, qemuArguments, qemuProgram } from '../../../host/vm/qemu-arguments.ts';

const goldens = join(import.meta.dirname, 'goldens');
const unix = { kernel: '/d/vm/image/kernel', initramfs: '/d/vm/image/initramfs', disk: '/d/vm/data.qcow2' };
const linux = {
  ...unix,
  host: 'linux',
  console: '/r/vm/console.log',
  port: { socket: '/r/vm/vm.sock' },
  sharesPort: { socket: '/r/vm/shares.sock' },
} as const;
const windows = {
  host: 'win32',
  kernel: 'C:\\gantry\\vm\\kernel',
  initramfs: 'C:\\gantry\\vm\\initramfs',
  disk: 'C:\\gantry\\vm\\data.qcow2',
  console: 'C:\\gantry\\vm\\console.log',
  port: { pipe: 'gantry-vm-1' },
  sharesPort: { pipe: 'gantry-shares-1' },
} as const;

const specs: Record<string, GuestSpec> = {
  'linux-x64-kvm': { ...linux, architecture: 'x86_64', accelerator: 'kvm', memoryMb: 8192, cpus: 8 },
  'linux-x64-tcg': { ...linux, architecture: 'x86_64', accelerator: 'tcg', memoryMb: 2048, cpus: 2 },
  'linux-arm64-kvm': { ...linux, architecture: 'aarch64', accelerator: 'kvm', memoryMb: 4096, cpus: 4 },
  'linux-arm64-tcg': { ...linux, architecture: 'aarch64', accelerator: 'tcg', memoryMb: 2048, cpus: 2 },
  'darwin-arm64-hvf': {
    ...linux,
    host: 'darwin',
    architecture: 'aarch64',
    accelerator: 'hvf',
    memoryMb: 8192,
    cpus: 10,
  },
  'darwin-x64-hvf': { ...linux, host: 'darwin', architecture: 'x86_64', accelerator: 'hvf', memoryMb: 8192, cpus: 8 },
  'win32-x64-whpx': { ...windows, architecture: 'x86_64', accelerator: 'whpx', memoryMb: 8192, cpus: 8 },
  'win32-arm64-whpx': { ...windows, architecture: 'aarch64', accelerator: 'whpx', memoryMb: 8192, cpus: 8 },
  'win32-x64-tcg': { ...windows, architecture: 'x86_64', accelerator: 'tcg', memoryMb: 2048, cpus: 2 },
};

/** An option and its value a line. */
function asText(spec: GuestSpec): string {
  const lines = [qemuProgram(spec.architecture), ...qemuArguments(spec)].map((word) =>
    word.startsWith('-') ? `\n${word}` : ` ${word}`,
  );
  return `${lines.join('').trim()}\n`;
}

describe('the command line of QEMU', () => {
  it.each(Object.keys(specs))('for %s is the golden one', (name) => {
    const path = join(goldens, `${name}.txt`);
    const text = asText(specs[name]!);
    if (process.env.UPDATE_GOLDENS) writeFileSync(path, text);
    expect(existsSync(path), `${path} (UPDATE_GOLDENS=1 writes it)`).toBe(true);
    expect(text).toBe(readFileSync(path, 'utf8'));
  });

  it('takes paths with commas and blanks', () => {
    const path = '/a, b,,c/vm.sock';
    const ports = { port: { socket: path }, sharesPort: { socket: path } };
    const words = qemuArguments({ ...specs['linux-x64-tcg']!, ...ports, disk: path, console: path });
    expect(words).toContain('socket,id=shares,path=/a,, b,,,,c/vm.sock,server=on,wait=off');
    expect(words).toContain('socket,id=port,path=/a,, b,,,,c/vm.sock,server=on,wait=off');
    expect(words).toContain('file,id=console,path=/a,, b,,,,c/vm.sock');
    expect(words.find((word) => word.startsWith('if=none'))).toMatch(/,file=\/a,, b,,,,c\/vm.sock$/);
  });
});

describe('the size of a guest', () => {
  const host = { memoryMb: 16_000, cpus: 8 };

  it.each([
    [host, 'kvm', {}, { memoryMb: 8000, cpus: 8 }],
    [{ memoryMb: 64_000, cpus: 32 }, 'hvf', {}, { memoryMb: 8192, cpus: 32 }],
    [{ memoryMb: 400, cpus: 1 }, 'kvm', {}, { memoryMb: 256, cpus: 1 }],
    [host, 'tcg', {}, { memoryMb: 2048, cpus: 2 }],
    [host, 'tcg', { memory: '3g', cpus: '4' }, { memoryMb: 3072, cpus: 4 }],
    [host, 'kvm', { memory: '512' }, { memoryMb: 512, cpus: 8 }],
    [host, 'kvm', { memory: '768MB' }, { memoryMb: 768, cpus: 8 }],
    [host, 'kvm', { memory: '1t' }, undefined],
    [host, 'kvm', { memory: '64m' }, undefined],
    [host, 'kvm', { cpus: '0' }, undefined],
    [host, 'kvm', { cpus: '1.5' }, undefined],
    [host, 'kvm', { cpus: 'many' }, undefined],
  ] as const)('of %j by %s, wanted %j, is %j', (machine, accelerator, wanted, expected) => {
    expect(guestSize(machine, accelerator, wanted)).toEqual(expected);
  });
});
