// What runs the guest's instructions: candidates of this host, and what is remembered of having tried them.
import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import type { Accelerator, Architecture, HostSize } from './qemu-arguments.ts';

export interface HostMachine extends HostSize {
  platform: NodeJS.Platform;
  architecture: Architecture;
  /** Differs where an accelerator may behave otherwise: the kernel and the CPU. */
  identity: string;
}

export function hostMachine(): HostMachine {
  const [cpu] = cpus();
  return {
    platform: process.platform,
    architecture: arch() === 'arm64' ? 'aarch64' : 'x86_64',
    memoryMb: Math.floor(totalmem() / 1024 ** 2),
    cpus: Math.max(1, cpus().length),
    identity: `${process.platform} ${release()}, ${cpu?.model ?? 'unknown CPU'}`,
  };
}

const ofPlatform: Partial<Record<NodeJS.Platform, Accelerator>> = { linux: 'kvm', darwin: 'hvf', win32: 'whpx' };

/** In the order in which they are tried; a guest of another architecture is always interpreted. */
export function candidates(host: HostMachine, guest: Architecture): Accelerator[] {
  const native = ofPlatform[host.platform];
  if (native === undefined || host.architecture !== guest) return ['tcg'];
  if (native === 'kvm' && !usable('/dev/kvm')) return ['tcg'];
  return [native, 'tcg'];
}

function usable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** What booting has shown. */
export interface Verdict {
  accelerator: Accelerator;
  /** Accelerators that did not boot a guest, and why: "kvm": "the guest did not answer in 8 s". */
  failed: Record<string, string>;
  /** Host and QEMU that it holds for. */
  identity: string;
}

/** The remembered verdict, where it was made with the same host and QEMU. */
export function recall(path: string, identity: string): Verdict | undefined {
  try {
    const verdict = JSON.parse(readFileSync(path, 'utf8')) as Verdict;
    return verdict.identity === identity ? verdict : undefined;
  } catch {
    return undefined;
  }
}

export function remember(path: string, verdict: Verdict): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify(verdict, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
