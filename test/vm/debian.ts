// Kernel, modules and busybox of a guest, from Debian's own packages, unpacked into a cache; nothing is installed.
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Architecture, debianNames, openPackages } from '../../vm-images/debian.ts';
import { uncompressedKernel } from '../../vm-images/kernel-image.ts';
import { findModules } from '../../vm-images/modules.ts';

export type { Architecture };

const cache = join(import.meta.dirname, '../../node_modules/.cache/guests');

/** What a guest needs beyond what its kernel has built in. libcrc32c finds crc32c_generic by no dependency but an alias. */
const moduleNames =
  'virtio_pci virtio_console virtio_blk ext4 overlay bridge veth crc32c_generic nf_tables nft_chain_nat nft_masq nft_ct nft_nat nft_fib_ipv4 nft_fib_ipv6 erofs loop'.split(
    ' ',
  );

export interface GuestPackages {
  kernel: string;
  /** Paths of the modules, dependencies first. */
  modules: string[];
  busybox: string;
}

/** Downloads on the first call. Throws where this machine has no apt, no root or no mirror. */
export function guestPackages(architecture: Architecture): GuestPackages {
  const name = createHash('sha256').update(moduleNames.join()).digest('hex').slice(0, 8);
  const target = join(cache, `${architecture}-${name}`);
  if (!existsSync(target)) fill(target, architecture);
  const order = readFileSync(join(target, 'order'), 'utf8').split('\n').filter(Boolean);
  return {
    kernel: join(target, 'kernel'),
    modules: order.map((file) => join(target, file)),
    busybox: join(target, 'busybox'),
  };
}

function fill(target: string, architecture: Architecture): void {
  const packages = openPackages(architecture, cache);
  try {
    const unpacked = packages.unpack([`${packages.newestKernel()}-${debianNames[architecture]}`, 'busybox-static']);
    const complete = join(unpacked, 'complete');
    mkdirSync(complete);
    const boot = readdirSync(join(unpacked, 'boot')).find((file) => file.startsWith('vmlinuz-'));
    if (boot === undefined) throw new Error('the package holds no kernel');
    writeFileSync(join(complete, 'kernel'), uncompressedKernel(readFileSync(join(unpacked, 'boot', boot))));
    const modules = findModules(join(unpacked, 'lib/modules'), moduleNames);
    for (const { path, file } of modules) copyFileSync(path, join(complete, file));
    writeFileSync(join(complete, 'order'), modules.map(({ file }) => `${file}\n`).join(''));
    copyFileSync(join(unpacked, 'bin/busybox'), join(complete, 'busybox'));
    // Another process may have been faster.
    if (!existsSync(target)) renameSync(complete, target);
  } finally {
    packages.close();
  }
}
