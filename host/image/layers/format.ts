// What new layers become on this machine, EROFS files or directories: tried once, with a small layer that is really mounted.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError } from '../../errors.ts';
import type { Mounter } from './mounter.ts';

/** Writes a plain tar's content as an EROFS file. */
export type WriteErofs = (
  path: string,
  tar: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
  memory?: number,
) => Promise<{ entries: number; bytes: number; size: number }>;

export interface LayerFormat {
  kind: 'erofs' | 'directories';
  /** Files are mounted through loop devices. */
  loop: boolean;
  /** Why it is not the first choice, which is an EROFS file that the kernel mounts as it is. */
  reason?: string;
  /** The user wants it so. */
  chosen: boolean;
}

const SETTINGS = ['', 'auto', 'loop', 'directories'];

/** GANTRY_LAYERS: "directories", "loop", or what the machine can. @throws {GantryError} INVALID_ARGUMENT. */
export function layerSetting(setting = process.env.GANTRY_LAYERS ?? ''): string {
  if (SETTINGS.includes(setting)) return setting || 'auto';
  throw new GantryError('INVALID_ARGUMENT', `Cannot read GANTRY_LAYERS "${setting}"`, {
    hint: 'loop, directories or auto',
  });
}

/** @param directory where layers lie: whether their files can be mounted depends on the file system there. */
export async function findLayerFormat(
  directory: string,
  mounter: Mounter,
  write: WriteErofs,
  setting: string,
): Promise<LayerFormat> {
  const chosen = 'GANTRY_LAYERS says so';
  if (setting === 'directories') return { kind: 'directories', loop: false, reason: chosen, chosen: true };
  const wantsLoop = setting === 'loop';
  const direct = wantsLoop ? chosen : await tryMount(directory, mounter, write, false);
  if (direct === undefined) return { kind: 'erofs', loop: false, chosen: false };
  if (direct === NO_EROFS) return { kind: 'directories', loop: false, reason: direct, chosen: false };
  const looped = await tryMount(directory, mounter, write, true);
  if (looped === undefined) return { kind: 'erofs', loop: true, reason: direct, chosen: wantsLoop };
  return { kind: 'directories', loop: false, reason: looped, chosen: false };
}

const NO_EROFS = 'this kernel has no EROFS';
const CONTENT = 'gantry';

/** Undefined where a file in a layer can be read through an overlay; else what failed. */
async function tryMount(
  directory: string,
  mounter: Mounter,
  write: WriteErofs,
  loop: boolean,
): Promise<string | undefined> {
  // A name as long as a layer's: how long a path the kernel takes is part of the question.
  const place = join(directory, `new-${randomBytes(30).toString('hex')}`);
  const [file, tree, empty, root] = ['layer.erofs', 'tree', 'none', 'root'].map((name) => join(place, name));
  const mounts: string[] = [];
  try {
    for (const path of [tree!, empty!, root!]) await mkdir(path, { recursive: true, mode: 0o700 });
    await write(file!, oneFile());
    await mounter.mount(file!, tree!, loop);
    mounts.push(tree!);
    // Overlays in file-backed mounts on overlays: the kernel stacks two file systems, not three.
    if (fitsOption(tree!, empty!)) {
      await mounter.overlay([tree!, empty!], root!);
      mounts.push(root!);
    }
    const found = await readFile(join(mounts.at(-1)!, CONTENT), 'utf8');
    return found === CONTENT ? undefined : 'what was mounted is not what was written';
  } catch (error) {
    return reasonOf(error);
  } finally {
    for (const path of mounts.reverse()) await mounter.unmount(path).catch(() => {});
    await rm(place, { recursive: true, force: true }).catch(() => {});
  }
}

/** Longest value that fsconfig(2) takes. */
const OPTION_MAX = 255;

function fitsOption(...lower: string[]): boolean {
  return Buffer.byteLength(lower.join(':')) <= OPTION_MAX && !lower.some((path) => /[:,\\]/.test(path));
}

function reasonOf(error: unknown): string {
  const errno = error instanceof GantryError ? error.details?.errno : undefined;
  if (errno === 'ENODEV') return NO_EROFS;
  if (errno === 'ENOTBLK') return 'this kernel mounts EROFS from block devices only';
  return error instanceof Error ? error.message : String(error);
}

async function* oneFile(): AsyncGenerator<Uint8Array> {
  const { pack } = await import('tar-stream');
  const tar = pack();
  tar.entry({ name: CONTENT, mode: 0o644, mtime: new Date(0) }, CONTENT);
  tar.finalize();
  for await (const chunk of tar) yield chunk as Uint8Array;
}
