// The guest image on this host: verified against its manifest, unpacked once, and the data disk that is kept.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { GantryError } from '../errors.ts';
import type { Architecture } from './qemu-arguments.ts';

export interface GuestFiles {
  kernel: string;
  initramfs: string;
  disk: string;
}

interface Manifest {
  architecture: string;
  files: Record<string, { sha256: string; bytes: number }>;
}

/** Beside the bundle or, from source, in the repository. */
const places = ['vm-images/out', '../vm-images/out', '../../vm-images/out'];

/** Directory of the image for an architecture; GANTRY_VM_IMAGE names another. @throws {GantryError} BACKEND_UNAVAILABLE. */
export function findImage(architecture: Architecture, given = process.env.GANTRY_VM_IMAGE): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const found = given ? [given] : places.map((place) => join(here, place, architecture));
  const directory = found.find((path) => existsSync(join(path, 'manifest.json')));
  if (directory !== undefined) return directory;
  throw new GantryError(
    'BACKEND_UNAVAILABLE',
    `Cannot find the guest image for ${architecture}${given ? ` in "${given}"` : ''}`,
    {
      hint: `Build it: npx tsx vm-images/build.ts ${architecture}`,
    },
  );
}

/**
 * Unpacks kernel and initramfs below `directory` where they are not yet, and makes the data disk where there is none.
 * @throws {GantryError} DIGEST_MISMATCH, DISK_FULL, BACKEND_UNAVAILABLE.
 */
export function prepareGuestFiles(image: string, directory: string, architecture: Architecture): GuestFiles {
  const text = readFileSync(join(image, 'manifest.json'));
  const manifest = JSON.parse(text.toString()) as Manifest;
  if (manifest.architecture !== architecture)
    throw new GantryError(
      'BACKEND_UNAVAILABLE',
      `Cannot use the guest image "${image}": it is for ${manifest.architecture}, not ${architecture}`,
    );
  const name = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const unpacked = join(directory, `image-${name}`);
  const disk = join(directory, 'data.qcow2');
  const content = (file: string): Buffer => verified(image, file, manifest);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!existsSync(unpacked)) {
      const work = mkdtempSync(join(directory, 'new-'));
      for (const file of ['kernel', 'initramfs']) writeFileSync(join(work, file), content(`${file}.gz`));
      renameSync(work, unpacked);
    }
    if (!existsSync(disk)) {
      writeFileSync(`${disk}.new`, content('disk.qcow2.gz'), { mode: 0o600 });
      renameSync(`${disk}.new`, disk);
    }
  } catch (cause) {
    rmSync(`${disk}.new`, { force: true });
    if (!['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
    throw new GantryError('DISK_FULL', `Cannot unpack the guest image into "${directory}"`, {
      hint: 'Free space on the file system that holds the data root',
      cause,
    });
  }
  return { kernel: join(unpacked, 'kernel'), initramfs: join(unpacked, 'initramfs'), disk };
}

function verified(image: string, file: string, { files }: Manifest): Buffer {
  const bytes = readFileSync(join(image, file));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 === files[file]?.sha256) return gunzipSync(bytes);
  throw new GantryError(
    'DIGEST_MISMATCH',
    `Cannot use the guest image: "${join(image, file)}" is not what its manifest says`,
    {
      hint: 'Install gantry anew, or build the image again',
      details: { sha256 },
    },
  );
}
