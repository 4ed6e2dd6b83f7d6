// Layers by the digest of their plain tar: EROFS files that are mounted, or directories. The one door to how they lie on disk.
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { GantryError } from '../errors.ts';
import type { Damage } from './damage.ts';
import { sameBytes, sameTree } from './layers/compare.ts';
import { findLayerFormat, type LayerFormat, type WriteErofs } from './layers/format.ts';
import type { Mounter } from './layers/mounter.ts';
import { createLayerMounts, damaged } from './layers/mounts.ts';
import type { Leaving } from './leaving.ts';
import type { Unpacker } from './unpack.ts';

export interface LayerStore {
  has(diffId: string): Promise<boolean>;
  /** Makes a layer from what `open` gives, at most twice; nothing of it is seen before it is whole. Who makes the same one waits. `signal` tells that a failure is of who made it only. @throws {GantryError} DIGEST_MISMATCH, INVALID_ARCHIVE, DISK_FULL. */
  add(diffId: string, open: () => AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  /** Bytes of the layer's files; 0 where it is lost: its image can be listed and removed nevertheless. */
  size(diffId: string): Promise<number>;
  /** Directory of the layer's tree, in overlayfs' format of whiteouts; there is something in it once it was shown. */
  path(diffId: string): string;
  /** Of an image, lowest first → their directories, uppermost first. One that is there twice counts where it is uppermost: overlayfs
   *  takes no directory twice (ELOOP), and what is in the lower one the upper one has, too. */
  paths(diffIds: string[]): string[];
  /** Mounts what of these paths is not yet there; undefined where nothing is to be done. @throws {GantryError} STATE_DAMAGED, UNSUPPORTED. */
  show(paths: readonly string[]): Promise<void> | undefined;
  /** It is not there any more; its bytes may still be on their way out. */
  remove(diffId: string): Promise<void>;
  /** Every layer that is there whole. */
  list(): Promise<string[]>;
  /** What new layers become; tried out at the first call. */
  format(): Promise<LayerFormat>;
  /** What is wrong with a layer whose plain tar `open` gives; undefined: nothing. What is wrong counts as missing if it can be replaced. */
  verify(diffId: string, open: () => AsyncIterable<Uint8Array>): Promise<LayerFlaw | undefined>;
  /** Unmounts all. Containers that run keep what they have. */
  close(): Promise<void>;
}

export interface LayerFlaw {
  reason: string;
  /** Who brings the layer again replaces it; else it has to be removed first. */
  replaceable: boolean;
}

export interface LayerTools {
  unpacker: Unpacker;
  mounter: Mounter;
  /** Of layers. */
  damage: Damage;
  leaving: Leaving;
  /** As layerSetting has it. */
  setting: string;
  /** Bytes that the names of an EROFS image may take while it is written; absent: as the core has it. */
  erofsMemory?: number;
}

/** layer.json. */
interface LayerRecord {
  /** Of all regular files. */
  bytes: number;
  entries: number;
  /** Bytes of the EROFS file; absent where the layer is a directory. */
  size?: number;
}

const writeErofs: WriteErofs = async (...args) => (await import('./erofs/write-erofs.ts')).writeErofs(...args);

export function createLayerStore(
  directory: string,
  { unpacker, mounter, damage, leaving, setting, erofsMemory }: LayerTools,
): LayerStore {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const homeOf = (diffId: string): string => join(directory, diffId.slice('sha256:'.length));
  const diffIdOf = (path: string): string => `sha256:${basename(dirname(path))}`;
  const fileIn = (home: string): string => join(home, 'layer.erofs');
  const treeIn = (home: string): string => join(home, 'tree');
  const homeFor = (purpose: 'new' | 'old'): string => join(directory, `${purpose}-${randomBytes(8).toString('hex')}`);
  const working = new Map<string, { made: Promise<void>; signal: AbortSignal | undefined }>();
  /** Paths of layers that are directories: nothing is to be mounted there. */
  const plain = new Set<string>();
  let known: Promise<LayerFormat> | undefined;
  const format = (): Promise<LayerFormat> => {
    known ??= findLayerFormat(directory, mounter, writeErofs, setting);
    return known;
  };
  const mounts = createLayerMounts(directory, mounter, async () => (await format()).loop);
  removeHalves(directory, mounter, unpacker);

  const recordOf = async (diffId: string): Promise<LayerRecord> => {
    const path = join(homeOf(diffId), 'layer.json');
    try {
      return JSON.parse(await readFile(path, 'utf8')) as LayerRecord;
    } catch (cause) {
      throw damaged(diffId, `"${path}" cannot be read: ${(cause as Error).message}`, cause);
    }
  };

  const discard = async (home: string): Promise<void> => {
    const isFile = await access(fileIn(home)).then(
      () => true,
      () => false,
    );
    await (isFile ? rm(home, { recursive: true, force: true }) : unpacker.remove(home)).catch(() => {});
  };

  /** Makes a home with the layer in it. @throws {GantryError} with nothing cleaned up. */
  const fill = async (
    home: string,
    kind: LayerFormat['kind'],
    { diffId, tar, signal }: { diffId: string; tar: AsyncIterable<Uint8Array>; signal?: AbortSignal | undefined },
  ): Promise<LayerRecord> => {
    await mkdir(treeIn(home), { recursive: true, mode: 0o755 });
    const hash = createHash('sha256');
    const hashed = (async function* () {
      for await (const chunk of tar) {
        hash.update(chunk);
        yield chunk;
      }
    })();
    const record = await (kind === 'erofs'
      ? writeErofs(fileIn(home), hashed, signal, erofsMemory)
      : unpacker.unpack(treeIn(home), hashed));
    for await (const _rest of hashed); // The unpacker stops at the end of the archive; the digest goes on to the end.
    const found = `sha256:${hash.digest('hex')}`;
    if (found !== diffId)
      throw new GantryError('DIGEST_MISMATCH', `Cannot use the layer "${diffId}": its content has the digest ${found}`);
    return record;
  };

  /** Out of the way at once, whoever still uses it; what is left is removed behind that. */
  const takeAway = async (diffId: string): Promise<void> => {
    const path = treeIn(homeOf(diffId));
    await mounts.unmount(path);
    plain.delete(path);
    const old = homeFor('old');
    const gone = await rename(homeOf(diffId), old).catch(() => 'was not there');
    if (gone === undefined) leaving.begin(() => discard(old));
  };

  const make = async (
    diffId: string,
    open: () => AsyncIterable<Uint8Array>,
    kind: LayerFormat['kind'],
    signal?: AbortSignal,
  ): Promise<void> => {
    const home = homeFor('new');
    try {
      const record = await fill(home, kind, { diffId, tar: open(), signal });
      await writeFile(join(home, 'layer.json'), JSON.stringify(record));
      await takeAway(diffId); // One that is damaged.
      await rename(home, homeOf(diffId));
      damage.clear(diffId);
    } catch (error) {
      await discard(home);
      if (kind === 'directories' || !(error instanceof GantryError) || error.code !== 'TOO_LARGE') throw error;
      // About a million names: a directory holds any number of them.
      await make(diffId, open, 'directories', signal);
    }
  };

  const showOne = async (path: string): Promise<void> => {
    const diffId = diffIdOf(path);
    const { size } = await recordOf(diffId);
    if (size === undefined) {
      plain.add(path);
      return;
    }
    await mounts.mount({ diffId, file: fileIn(homeOf(diffId)), size, place: path }).catch((error: unknown) => {
      if (error instanceof GantryError && error.code === 'STATE_DAMAGED') damage.mark(diffId);
      throw error;
    });
  };

  /** The stored layer and another of the same tar, which may have been written by another version: what is in them counts. */
  const sameFiles = async (diffId: string, home: string): Promise<boolean> => {
    const [stored, fresh] = [fileIn(homeOf(diffId)), fileIn(home)];
    if (await sameBytes(stored, fresh)) return true;
    const { loop } = await format();
    const places = ['stored', 'fresh'].map((name) => join(home, name));
    const mounted: string[] = [];
    try {
      for (const [index, place] of places.entries()) {
        await mkdir(place);
        await mounter.mount([stored, fresh][index]!, place, loop);
        mounted.push(place);
      }
      return await sameTree(places[0]!, places[1]!, unpacker);
    } finally {
      for (const place of mounted) await mounter.unmount(place);
    }
  };

  return {
    has: async (diffId) =>
      !damage.has(diffId) &&
      access(join(homeOf(diffId), 'layer.json')).then(
        () => true,
        () => false,
      ),
    async add(diffId, open, signal) {
      for (let before = working.get(diffId); before !== undefined; before = working.get(diffId)) {
        try {
          return await before.made;
        } catch (error) {
          // Whoever made it has gone: the next of those who wait does.
          if (!before.signal?.aborted) throw error;
        }
      }
      const made = format()
        .then(({ kind }) => make(diffId, open, kind, signal))
        .finally(() => working.delete(diffId));
      working.set(diffId, { made, signal });
      return made;
    },
    size: async (diffId) => (await recordOf(diffId).catch(() => undefined))?.bytes ?? 0,
    list: async () =>
      (await readdir(directory)).filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => `sha256:${name}`),
    path: (diffId) => treeIn(homeOf(diffId)),
    paths: (diffIds) => [...new Set(diffIds.toReversed())].map((diffId) => treeIn(homeOf(diffId))),
    show(paths) {
      const missing = paths.filter((path) => !plain.has(path) && !mounts.has(path));
      if (missing.length === 0) return undefined;
      return Promise.all(missing.map(showOne)).then(() => {});
    },
    remove: takeAway,
    format,
    async verify(diffId, open) {
      const record = await recordOf(diffId).catch((error: Error) => error);
      if (record instanceof Error) {
        damage.mark(diffId);
        return { reason: record.message, replaceable: true };
      }
      const replaceable = record.size !== undefined;
      const home = homeFor('new');
      try {
        await fill(home, replaceable ? 'erofs' : 'directories', { diffId, tar: open() });
        const same = replaceable ? sameFiles(diffId, home) : sameTree(treeIn(homeOf(diffId)), treeIn(home), unpacker);
        const reason = await same.then(
          (equal) => (equal ? undefined : 'its files are not those of its blob'),
          (error: Error) => error.message,
        );
        if (reason === undefined) return undefined;
        if (replaceable) damage.mark(diffId);
        return { reason, replaceable };
      } finally {
        await discard(home);
      }
    },
    close: () => mounts.close(),
  };
}

/** Half-made and half-removed layers of an engine that died. */
function removeHalves(directory: string, mounter: Mounter, unpacker: Unpacker): void {
  const halves = readdirSync(directory)
    .filter((name) => name.startsWith('new-') || name.startsWith('old-'))
    .map((name) => join(directory, name));
  if (halves.length === 0) return;
  // It may have been trying one out, or comparing.
  const mounted = mounter.mounted(directory).filter((place) => halves.some((home) => place.startsWith(`${home}/`)));
  void Promise.allSettled(mounted.map((place) => mounter.unmount(place))).then(() =>
    Promise.allSettled(halves.map((home) => unpacker.remove(home))),
  );
}
