// The guest image for tests: built when something that it is made of has changed, kept in a cache.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Architecture, openPackages } from '../../vm-images/debian.ts';
import { buildImage, type KernelChoice, pinnedKernel } from '../../vm-images/image.ts';

const root = join(import.meta.dirname, '../..');
const cache = join(root, 'node_modules/.cache/vm-images');
const choices = new Map<Architecture, KernelChoice>();

/** Debian keeps a kernel for some weeks: where the pinned one is gone, tests take the newest and say so. */
export function kernelChoice(architecture: Architecture): KernelChoice {
  const known = choices.get(architecture);
  if (known !== undefined) return known;
  const pinned = pinnedKernel(architecture);
  const kept =
    existsSync(cache) && readdirSync(cache).some((name) => name.startsWith(`${architecture}-${pinned.version}-`));
  let choice: KernelChoice = 'pinned';
  if (!kept) {
    const packages = openPackages(architecture, cache);
    if (packages.candidate(pinned.name).version !== pinned.version) choice = 'newest';
    packages.close();
  }
  if (choice === 'newest') console.log(`${pinned.name} ${pinned.version} is no longer offered: the newest is taken`);
  choices.set(architecture, choice);
  return choice;
}

/** Empty where the image can be built; the reason is printed. */
export function whyNoImage(architecture: Architecture): string {
  const reason = missing(architecture);
  if (reason !== '') console.log(`The ${architecture} guest image is not tested: ${reason}`);
  return reason;
}

function missing(architecture: Architecture): string {
  if (!existsSync(join(root, 'dist/executor', `gantry-executor-${architecture}`)))
    return `the executor is not built for it (install gcc-${architecture}-linux-gnu and build again)`;
  try {
    kernelChoice(architecture);
    return '';
  } catch (error) {
    return `no kernel from Debian's packages: ${(error as Error).message}`;
  }
}

/** Directory of an image of what is in the tree now. */
export function guestImage(architecture: Architecture): string {
  const inputs = [
    ...readdirSync(join(root, 'vm-images/init')).map((name) => `vm-images/init/${name}`),
    ...['image.ts', 'initramfs.ts', 'versions.env'].map((name) => `vm-images/${name}`),
    `dist/executor/gantry-executor-${architecture}`,
  ];
  const hash = createHash('sha256').update(kernelChoice(architecture));
  for (const path of inputs) hash.update(readFileSync(join(root, path)));
  const target = join(cache, `image-${architecture}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(target)) return target;
  for (const name of existsSync(cache) ? readdirSync(cache) : [])
    if (name.startsWith(`image-${architecture}-`)) rmSync(join(cache, name), { recursive: true, force: true });
  buildImage(architecture, target, kernelChoice(architecture));
  return target;
}
