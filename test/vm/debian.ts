// Kernel, modules and busybox of a guest, from Debian's own packages, unpacked into a cache; nothing is installed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { uncompressedKernel } from './kernel-image.ts';
import { findModules } from './modules.ts';

export type Architecture = 'x86_64' | 'aarch64';

const debianNames: Record<Architecture, string> = { x86_64: 'amd64', aarch64: 'arm64' };
const cache = join(import.meta.dirname, '../../node_modules/.cache/guests');

/** What a guest needs beyond what its kernel has built in. libcrc32c finds crc32c_generic by no dependency but an alias. */
const moduleNames =
  'virtio_pci virtio_console virtio_blk ext4 overlay bridge veth crc32c_generic nf_tables nft_chain_nat nft_masq nft_ct nft_nat nft_fib_ipv4 nft_fib_ipv6'.split(
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
  if (!existsSync(target)) {
    mkdirSync(cache, { recursive: true });
    const work = mkdtempSync(join(cache, 'work-'));
    try {
      fill(work, architecture);
      // Another process may have been faster.
      if (!existsSync(target)) renameSync(join(work, 'complete'), target);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  const order = readFileSync(join(target, 'order'), 'utf8').split('\n').filter(Boolean);
  return {
    kernel: join(target, 'kernel'),
    modules: order.map((file) => join(target, file)),
    busybox: join(target, 'busybox'),
  };
}

function fill(work: string, architecture: Architecture): void {
  download(work, debianNames[architecture]);
  const unpacked = join(work, 'unpacked');
  for (const file of readdirSync(work).filter((entry) => entry.endsWith('.deb')))
    execFileSync('dpkg-deb', ['-x', join(work, file), unpacked]);
  const complete = join(work, 'complete');
  mkdirSync(complete);
  const boot = readdirSync(join(unpacked, 'boot')).find((file) => file.startsWith('vmlinuz-'));
  if (boot === undefined) throw new Error('the package holds no kernel');
  writeFileSync(join(complete, 'kernel'), uncompressedKernel(readFileSync(join(unpacked, 'boot', boot))));
  const modules = findModules(join(unpacked, 'lib/modules'), moduleNames);
  for (const { path, file } of modules) copyFileSync(path, join(complete, file));
  writeFileSync(join(complete, 'order'), modules.map(({ file }) => `${file}\n`).join(''));
  copyFileSync(join(unpacked, 'bin/busybox'), join(complete, 'busybox'));
}

/** With lists and state of its own, so that a foreign architecture leaves this machine's apt as it is. */
function download(work: string, debianName: string): void {
  for (const directory of ['lists/partial', 'cache/archives/partial'])
    mkdirSync(join(work, directory), { recursive: true });
  writeFileSync(join(work, 'status'), '');
  const settings = [
    `APT::Architecture "${debianName}";`,
    `APT::Architectures { "${debianName}"; };`,
    `Dir::State "${work}";`,
    `Dir::State::lists "${work}/lists";`,
    `Dir::State::status "${work}/status";`,
    `Dir::Cache "${work}/cache";`,
    'APT::Sandbox::User "root";',
  ];
  writeFileSync(join(work, 'apt.conf'), settings.join('\n'));
  const apt = (command: string, ...args: string[]): string =>
    execFileSync(command, args, {
      cwd: work,
      env: { ...process.env, APT_CONFIG: join(work, 'apt.conf'), LC_ALL: 'C' },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  apt('apt-get', '-qq', 'update');
  // The package of this name only depends on the newest kernel's.
  const [, kernel] = /Depends: (\S+)/.exec(apt('apt-cache', 'depends', `linux-image-${debianName}`)) ?? [];
  if (kernel === undefined) throw new Error(`no package linux-image-${debianName} is known to apt`);
  apt('apt-get', '-qq', 'download', kernel, 'busybox-static');
}
