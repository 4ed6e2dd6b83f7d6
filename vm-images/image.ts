// A guest image: kernel, initramfs and an empty data disk of one architecture, assembled from packages and what was built here.
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
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { compileStatic } from '../scripts/compile-static.ts';
import { type Architecture, debianNames, openPackages, type PackageVersion } from './debian.ts';
import { type InitramfsEntry, initramfs } from './initramfs.ts';
import { uncompressedKernel } from './kernel-image.ts';
import { findModules } from './modules.ts';

const here = import.meta.dirname;
const root = join(here, '..');
const cache = join(root, 'node_modules/.cache/vm-images');

/** What the channel needs comes first: the host hears of the guest before the rest is loaded. */
const firstModules = ['virtio_pci', 'virtio_console'];
/** libcrc32c finds crc32c_generic by no dependency but an alias. */
const secondModules = (
  'crc32c_generic virtio_blk ext4 overlay erofs fuse virtio_net virtio_balloon virtio_rng bridge veth ' +
  'nf_tables nft_chain_nat nft_masq nft_ct nft_nat nft_fib_ipv4 nft_fib_ipv6 af_packet nfnetlink_queue nft_queue nft_tproxy'
).split(' ');

const DISK_BYTES = 64 * 1024 ** 3;
const DISK_UUID = '67616e74-7279-4d76-8d00-000000000001';
const HASH_SEED = '67616e74-7279-4d76-8d00-000000000002';
/** Of all that a file system or archive says of its making. */
const EPOCH = '1700000000';

export const imageFiles = ['kernel.gz', 'initramfs.gz', 'disk.qcow2.gz'] as const;

/** versions.env by key. */
export function readVersions(): Record<string, string> {
  const lines = readFileSync(join(here, 'versions.env'), 'utf8').split('\n');
  return Object.fromEntries(lines.filter((line) => /^\w+=/.test(line)).map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

/** The pinned kernel; `newest`: what Debian offers today. */
export type KernelChoice = 'pinned' | 'newest';

/**
 * Builds into a directory, replacing what is there; the same inputs make the same bytes.
 * Throws where Debian no longer offers the pinned kernel, or a compiler is missing.
 */
export function buildImage(architecture: Architecture, target: string, choice: KernelChoice = 'pinned'): void {
  const kernel = kernelFiles(architecture, choice);
  mkdirSync(join(target, '..'), { recursive: true });
  const work = mkdtempSync(`${target}.new-`);
  try {
    const contents: Record<(typeof imageFiles)[number], Buffer> = {
      'kernel.gz': gzipSync(readFileSync(join(kernel, 'kernel')), { level: 9 }),
      'initramfs.gz': gzipSync(initramfs(guestFiles(architecture, kernel, work)), { level: 9 }),
      'disk.qcow2.gz': gzipSync(emptyDisk(work), { level: 9 }),
    };
    for (const name of imageFiles) writeFileSync(join(work, name), contents[name]);
    const files = imageFiles.map((name) => [name, { sha256: sha256(contents[name]), bytes: contents[name].length }]);
    const { name, version } = JSON.parse(readFileSync(join(kernel, 'package.json'), 'utf8')) as PackageVersion;
    const manifest = { architecture, kernel: `${name} ${version}`, files: Object.fromEntries(files) };
    writeFileSync(join(work, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    rmSync(target, { recursive: true, force: true });
    renameSync(work, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** No shell, no library: the first process, the executor, modules. */
function guestFiles(architecture: Architecture, kernel: string, work: string): InitramfsEntry[] {
  const init = join(here, 'init');
  const sources = readdirSync(init).filter((file) => file.endsWith('.c'));
  compileStatic(
    'init',
    sources.map((file) => join(init, file)),
    work,
  );
  const executor = join(root, 'dist/executor', `gantry-executor-${architecture}`);
  const program = join(work, `init-${architecture}`);
  for (const path of [executor, program])
    if (!existsSync(path))
      throw new Error(
        `Cannot build the guest image: no ${path} (install gcc-${architecture}-linux-gnu and build again)`,
      );
  const entries = [
    ...['dev', 'proc', 'sys', 'tmp'].map((path) => ({ path })),
    { path: 'init', file: readFileSync(program) },
    { path: 'bin/gantry-executor', file: readFileSync(executor) },
    ...readdirSync(join(kernel, 'modules'))
      .sort()
      .map((name) => ({ path: `modules/${name}`, file: readFileSync(join(kernel, 'modules', name)) })),
  ];
  for (const name of ['x86_64', 'aarch64']) rmSync(join(work, `init-${name}`), { force: true });
  return entries;
}

/** An ext4 file system that fills a sparse disk; only what differs from zero is in the image. */
function emptyDisk(work: string): Buffer {
  const [raw, image] = ['disk.raw', 'disk.qcow2'].map((name) => join(work, name)) as [string, string];
  writeFileSync(raw, '');
  truncateSync(raw, DISK_BYTES);
  const env = { ...process.env, E2FSPROGS_FAKE_TIME: EPOCH, PATH: `${process.env.PATH}:/sbin:/usr/sbin` };
  const options = `lazy_itable_init=1,lazy_journal_init=1,nodiscard,hash_seed=${HASH_SEED}`;
  execFileSync('mke2fs', ['-qF', '-t', 'ext4', '-m', '0', '-U', DISK_UUID, '-E', options, raw], { env });
  execFileSync('e2image', ['-Q', raw, image], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const bytes = readFileSync(image);
  for (const path of [raw, image]) rmSync(path);
  return bytes;
}

/** Directory with `kernel`, `package.json` and `modules/`, where "first" and "second" list what is loaded when. Downloads once. */
function kernelFiles(architecture: Architecture, choice: KernelChoice): string {
  const pinned = pinnedKernel(architecture);
  const modules = sha256(Buffer.from([...firstModules, '', ...secondModules].join())).slice(0, 8);
  const place = (kernel: string): string => join(cache, `${architecture}-${kernel}-${modules}`);
  const known = place(choice === 'pinned' ? pinned.version : 'newest');
  if (existsSync(known)) return known;
  const packages = openPackages(architecture, cache);
  try {
    const suffix = `-${debianNames[architecture]}`;
    const wanted = choice === 'pinned' ? pinned : packages.candidate(`${packages.newestKernel()}${suffix}`);
    const complete = join(packages.unpack([wanted]), 'complete');
    extract(join(complete, '..'), complete);
    writeFileSync(join(complete, 'package.json'), JSON.stringify(wanted));
    if (!existsSync(known)) renameSync(complete, known); // Another process may have been faster.
    return known;
  } finally {
    packages.close();
  }
}

export function pinnedKernel(architecture: Architecture): PackageVersion {
  const versions = readVersions();
  const debianName = debianNames[architecture];
  return {
    name: `${versions.KERNEL_PACKAGE}-${debianName}`,
    version: versions.KERNEL_VERSION ?? '',
    sha256: versions[`KERNEL_SHA256_${debianName.toUpperCase()}`] ?? '',
  };
}

function extract(unpacked: string, target: string): void {
  mkdirSync(join(target, 'modules'), { recursive: true });
  const boot = readdirSync(join(unpacked, 'boot')).find((file) => file.startsWith('vmlinuz-'));
  if (boot === undefined) throw new Error('the package holds no kernel');
  writeFileSync(join(target, 'kernel'), uncompressedKernel(readFileSync(join(unpacked, 'boot', boot))));
  const all = join(unpacked, 'lib/modules');
  const first = findModules(all, firstModules);
  const second = findModules(all, [...firstModules, ...secondModules]).slice(first.length);
  for (const { path, file } of [...first, ...second]) copyFileSync(path, join(target, 'modules', file));
  for (const [list, found] of [
    ['first', first],
    ['second', second],
  ] as const)
    writeFileSync(join(target, 'modules', list), found.map(({ file }) => `${file}\n`).join(''));
}
