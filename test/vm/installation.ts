// An installation whose engine runs containers in a virtual machine.
import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, type Installation, processesOf } from '../helpers/cli.ts';
import { guestImage } from './guest-image.ts';

export const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** Of the interpreter: /dev/kvm may be there and not work. */
export function inVirtualMachine(...more: string[]): Installation {
  const variables = ['GANTRY_BACKEND=vm', 'GANTRY_VM_ACCELERATOR=tcg', 'GANTRY_VM_MEMORY=768m'];
  return createInstallation(['env', ...variables, `GANTRY_VM_IMAGE=${guestImage(architecture)}`, ...more]);
}

export function machines(here: Installation): number[] {
  return processesOf(here.dataRoot).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('qemu-system');
    } catch {
      return false;
    }
  });
}

export async function loadBox(here: Installation): Promise<void> {
  const tree = busyboxTree();
  const archive = makeArchive(tree, 'box:latest');
  await here.ok('load', '-i', archive);
  for (const path of [tree, dirname(archive)]) rmSync(path, { recursive: true, force: true });
}
