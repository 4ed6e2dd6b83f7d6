// Mounts of layers that are files: made at the first use, shared by all who use them, and let go when the engine ends.
import { stat } from 'node:fs/promises';
import { GantryError } from '../../errors.ts';
import type { Mounter } from './mounter.ts';

export interface LayerFile {
  diffId: string;
  /** The EROFS file. */
  file: string;
  /** Its bytes. */
  size: number;
  /** Directory that it is mounted on. */
  place: string;
}

export interface LayerMounts {
  /** Known without asking the kernel; what was unmounted by others is noticed all the same. */
  has(place: string): boolean;
  /** @throws {GantryError} STATE_DAMAGED where the file is not what it was; UNSUPPORTED where this machine mounts none. */
  mount(layer: LayerFile): Promise<void>;
  unmount(place: string): Promise<void>;
  /** Lets go of every layer, those of an earlier engine too. Containers that run keep what they have. */
  close(): Promise<void>;
}

/** @param directory what all places lie in. */
export function createLayerMounts(directory: string, mounter: Mounter, usesLoop: () => Promise<boolean>): LayerMounts {
  let known: Set<string> | undefined;
  /** Place → what is being done to it. */
  const busy = new Map<string, Promise<void>>();
  // An earlier engine's mounts are found, and whatever happens to one is noticed, by reading them again when something changed.
  mounter.watch(() => {
    known = undefined;
  });
  const mounted = (): Set<string> => {
    known ??= new Set(mounter.mounted(directory));
    return known;
  };

  const inTurn = (place: string, work: () => Promise<void>): Promise<void> => {
    const before = busy.get(place) ?? Promise.resolve();
    const done = before.then(work, work).finally(() => {
      if (busy.get(place) === done) busy.delete(place);
    });
    busy.set(place, done);
    return done;
  };

  return {
    has: (place) => mounted().has(place),
    mount: (layer) =>
      inTurn(layer.place, async () => {
        const { file, place } = layer;
        if (mounted().has(place)) return;
        await checkSize(layer);
        await mounter.mount(file, place, await usesLoop()).catch((cause: unknown) => {
          throw mountFailure(layer, cause);
        });
        mounted().add(place);
      }),
    unmount: (place) =>
      inTurn(place, async () => {
        if (!mounted().has(place)) return;
        await mounter.unmount(place);
        mounted().delete(place);
      }),
    async close() {
      await Promise.allSettled(busy.values());
      await Promise.allSettled(mounter.mounted(directory).map((place) => mounter.unmount(place)));
      await mounter.close();
    },
  };
}

async function checkSize({ diffId, file, size }: LayerFile): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (found?.size !== size)
    throw damaged(diffId, found ? `"${file}" has ${found.size} bytes, not ${size}` : `"${file}" is gone`);
}

/** What the kernel says to a superblock, inode or block that cannot be right. */
const DAMAGE = ['EUCLEAN', 'EBADMSG', 'EIO', 'EINVAL', 'ENOENT'];

function mountFailure({ diffId, file }: LayerFile, cause: unknown): GantryError {
  const errno = cause instanceof GantryError ? String(cause.details?.errno) : '';
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (DAMAGE.includes(errno)) return damaged(diffId, `the kernel refuses "${file}": ${reason}`, cause);
  return new GantryError('UNSUPPORTED', `Cannot mount the layer ${diffId}: ${reason}`, {
    hint: 'Images that are removed and pulled again become what this machine can use: "gantry doctor" tells what that is',
    cause,
  });
}

/** Of a layer whose file is not what it was. */
export function damaged(diffId: string, reason: string, cause?: unknown): GantryError {
  return new GantryError('STATE_DAMAGED', `Cannot use the layer ${diffId}: ${reason}`, {
    hint: 'Pull or load the image again; "gantry image verify" tells what else is damaged',
    cause,
  });
}
