// What the kernel and erofs-utils say about an image, and what GNU tar makes of the same archive.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ListingOptions, listTree } from './tree-listing.ts';

/** Empty where images can be mounted and checked here. */
export function whyNoErofs(): string {
  const missing = ['/usr/bin/fsck.erofs', '/usr/bin/getfattr'].find((path) => !existsSync(path));
  const reason =
    process.getuid?.() !== 0 ? 'root is needed' : missing === undefined ? '' : `${missing} is not installed`;
  if (reason !== '') console.log(`EROFS images are not tested with the kernel: ${reason}`);
  return reason;
}

/** Checks the image with erofs-utils. @throws where it finds anything. */
export function fsck(image: string): void {
  execFileSync('fsck.erofs', [image], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Mounts the image for as long as `work` takes. */
export function whileMounted<T>(image: string, work: (place: string) => T): T {
  const place = mkdtempSync(join(tmpdir(), 'gantry-mounted-'));
  execFileSync('mount', ['-t', 'erofs', '-o', 'ro', image, place]);
  try {
    return work(place);
  } finally {
    execFileSync('umount', [place]);
    rmSync(place, { recursive: true });
  }
}

/** The lines of listTree() for the mounted image. */
export function mountedTree(image: string, options?: ListingOptions): string[] {
  return whileMounted(image, (place) => listTree(place, options));
}

/** The same for what GNU tar extracts; `work` receives the tree for as long as it takes. */
export function extractedTree(tar: string, options?: ListingOptions): string[] {
  const place = mkdtempSync(join(tmpdir(), 'gantry-extracted-'));
  const tree = join(place, 'tree');
  mkdirSync(tree, { mode: 0o755 });
  try {
    execFileSync('tar', ['--numeric-owner', '--xattrs', '--xattrs-include=*', '-xpf', tar, '-C', tree], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return listTree(tree, options);
  } finally {
    rmSync(place, { recursive: true });
  }
}
