// A container's root directory, filled with the files of its image: they are its own, and no kernel is needed to lay them over others.
import {
  chmodSync,
  constants,
  copyFileSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  rmdirSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Order } from './order.ts';

/** Nothing where it was done before: what the program has changed since stays. */
export function fillRoot({ root, work, layers, preopens, copyUps }: Order): void {
  if (readdirSync(root).length === 0) {
    const filling = join(work, 'filling');
    rmSync(filling, { recursive: true, force: true });
    mkdirSync(filling, { recursive: true, mode: 0o755 });
    for (const layer of [...layers].reverse()) copyTree(layer, filling);
    rmdirSync(root);
    renameSync(filling, root); // Whole or not at all.
  }
  for (const { name, path } of copyUps) {
    const source = join(root, name);
    if (readdirSync(path).length === 0 && lstatSync(source, { throwIfNoEntry: false })?.isDirectory())
      copyTree(source, path);
  }
  // So that a listing shows what is mounted; a link on the way there would lead out of the root.
  for (const { name } of preopens) makePlace(root, name);
}

function makePlace(root: string, name: string): void {
  let at = root;
  for (const part of name.split('/').filter((text) => text !== '')) {
    at = join(at, part);
    const there = lstatSync(at, { throwIfNoEntry: false });
    if (there === undefined) mkdirSync(at, { mode: 0o755 });
    else if (!there.isDirectory()) return;
  }
}

function copyTree(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    const source = join(from, name);
    const target = join(to, name);
    const stat = lstatSync(source);
    const there = lstatSync(target, { throwIfNoEntry: false });
    if (there !== undefined && !(there.isDirectory() && stat.isDirectory())) rmSync(target, { recursive: true });
    if (stat.isDirectory()) {
      mkdirSync(target, { recursive: true });
      copyTree(source, target);
      chmodSync(target, stat.mode);
    } else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else if (stat.isFile()) {
      copyFileSync(source, target, constants.COPYFILE_FICLONE);
      chmodSync(target, stat.mode);
    } else continue; // overlayfs's whiteout, or a device, which no program could open.
    lutimesSync(target, stat.atime, stat.mtime);
  }
}
