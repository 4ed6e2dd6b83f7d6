// Builds the guest images into vm-images/out/ARCHITECTURE: `npx tsx vm-images/build.ts [x86_64|aarch64…] [--newest] [--pin]`.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Architecture, debianNames, openPackages } from './debian.ts';
import { buildImage } from './image.ts';

const here = import.meta.dirname;
const words = process.argv.slice(2);
const known = Object.keys(debianNames) as Architecture[];
const named = known.filter((name) => words.includes(name));
const unknown = words.filter((word) => ![...known, '--newest', '--pin'].includes(word));
if (unknown.length > 0) throw new Error(`Unknown argument "${unknown[0]}"`);

if (words.includes('--pin')) pin();
for (const architecture of named.length > 0 ? named : known) {
  const target = join(here, 'out', architecture);
  buildImage(architecture, target, words.includes('--newest') ? 'newest' : 'pinned');
  console.log(readFileSync(join(target, 'manifest.json'), 'utf8'));
}

/** Writes what Debian offers now into versions.env. */
function pin(): void {
  const path = join(here, 'versions.env');
  let text = readFileSync(path, 'utf8');
  const set = (key: string, value: string): void => {
    text = text.replace(new RegExp(`^${key}=.*$`, 'm'), `${key}=${value}`);
  };
  for (const architecture of known) {
    const packages = openPackages(architecture, join(here, 'out'));
    const kernel = packages.newestKernel();
    const { version, sha256 } = packages.candidate(`${kernel}-${debianNames[architecture]}`);
    packages.close();
    set('KERNEL_PACKAGE', kernel);
    set('KERNEL_VERSION', version);
    set(`KERNEL_SHA256_${debianNames[architecture].toUpperCase()}`, sha256);
  }
  writeFileSync(path, text);
}
