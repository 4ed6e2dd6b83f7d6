// Files of a container, running or not, as tar: looked up, read and written by the executor inside the container's root.
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import type { RunningProcess } from '../backend.ts';
import { ARCHIVE_STAT_SIZE, planArchive } from '../core/plans.ts';
import type { ArchiveAction } from '../plan-types.ts';
import { GantryError } from '../errors.ts';
import { decompress } from '../image/decompress.ts';
import { checkAble } from './abilities.ts';
import type { Container } from './container.ts';
import type { Context } from './context.ts';
import { withIdMaps } from './id-maps.ts';
import { planFiles } from './planning.ts';
import { layersOf } from './layers-of.ts';
import { planMounts } from './volumes/mounts.ts';
import { SIGKILL } from './signals.ts';
import { readAccounts, resolveUser } from './user.ts';

export interface PathStat {
  name: string;
  size: number;
  /** st_mode of inode(7). */
  mode: number;
  modifiedSeconds: number;
  modifiedNanoseconds: number;
  /** Of a symbolic link: where it leads in the end, an absolute path in the container. Empty otherwise. */
  linkTarget: string;
}

export interface WriteOptions {
  /** A directory and something else do not take each other's place. */
  keepKinds: boolean;
  /** Owned by the container's user, where it has one. */
  ownedByUser: boolean;
}

export interface Copies {
  /** @throws {GantryError} PATH_NOT_FOUND in docker's words. */
  stat(container: Container, path: string): Promise<PathStat>;
  read(container: Container, path: string): Promise<Reading & { stat: PathStat }>;
  /** The whole root, without what is mounted in it. */
  exportRoot(container: Container): Promise<Reading>;
  /** Into a directory. */
  write(container: Container, path: string, tar: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<void>;
}

export interface Reading {
  tar: AsyncGenerator<Uint8Array>;
  /** Nobody wants the rest, nor the beginning where nothing was read yet. */
  cancel(): void;
}

interface Place {
  directory: string;
  name: string;
  /** Last part of the path as it was given: the name in the archive. */
  as: string;
  withoutMounts?: boolean;
}

/** "/a/b" is looked up in "/a" and not followed; "/a/b/" and "/a/b/." are, and must be directories. */
function placeOf(path: string): Place {
  const clean = posix.join('/', path);
  const whole = /(^|\/)\.$/.test(path) ? `${clean === '/' ? '' : clean.replace(/\/$/, '')}/.` : clean;
  const cut = whole.lastIndexOf('/') + 1;
  const last = whole.slice(cut);
  if (last === '' || last === '.')
    return { directory: whole, name: '', as: last === '.' ? '.' : posix.basename(whole) || '/' };
  return { directory: whole.slice(0, cut), name: last, as: last };
}

const wholeRoot: Place = { directory: '/', name: '', as: '', withoutMounts: true };

/** The whole path as a directory, for writing into it: its last part is followed too. */
function directoryOf(path: string): Place {
  return { directory: posix.join('/', path), name: '', as: '' };
}

interface Owner {
  uid: number;
  gid: number;
}
const asArchived: Owner = { uid: -1, gid: -1 };

export function createCopies(context: Context): Copies {
  const { files, images, volumeMounts, volumes } = context;

  const plan = async (container: Container, action: ArchiveAction, place: Place, owner: Owner): Promise<Uint8Array> => {
    const { record } = container;
    const own = files.of(record.id);
    const image = await images.find(record.config.imageId);
    const lower = images.layerPaths(image);
    await images.showLayers(layersOf(record, lower));
    const running = container.running !== undefined;
    const there = (path: string): string => (existsSync(path) ? path : '');
    return planArchive({
      facts: await container.backend.facts(),
      id: record.id,
      container: withIdMaps(record),
      rootfs: {
        lower: [...lower, files.scaffold],
        upper: own.upper,
        work: own.work,
        volatile: false,
      },
      mounts: running ? [] : planMounts(record, container.backend),
      paths: {
        hosts: there(own.hosts),
        hostname: there(own.hostname),
        resolvConf: there(own.resolvConf),
        emptyDirectory: files.emptyDirectory,
      },
      running,
      action,
      ...place,
      ...owner,
    });
  };

  const begin = async (
    container: Container,
    action: ArchiveAction,
    place: Place,
    owner = asArchived,
  ): Promise<RunningProcess> => {
    if (container.removed) throw new GantryError('CONTAINER_NOT_FOUND', `No such container: ${container.record.name}`);
    checkAble(container, 'copies');
    const { backend } = container;
    const live = container.running !== undefined;
    const borrowed = live ? async (): Promise<void> => {} : await volumeMounts.borrow(container.record);
    let unshare = (): void => {};
    const giveBack = (): Promise<void> => {
      unshare();
      return borrowed();
    };
    let process: RunningProcess;
    try {
      const program = await plan(container, action, place, owner);
      if (!live)
        unshare = await backend.place(
          planFiles(context, container.record, await images.find(container.record.config.imageId)),
        );
      process = await backend.archive(live ? container.files.controlSocket : undefined, program);
    } catch (error) {
      await giveBack();
      throw error;
    }
    container.copies.add(process);
    void process.exited.then(() => container.copies.delete(process));
    void process.tornDown.then(giveBack);
    if (live) return process;
    // New volumes were filled from the image on the way.
    for (const mount of container.record.mounts) {
      if (!mount.copyUp) continue;
      mount.copyUp = false;
      if (mount.type === 'volume') volumes.markFilled(mount.name);
    }
    container.save();
    return process;
  };

  /** A container that does not run cannot be started while its root is mounted; one that ends meanwhile is tried again, still. */
  const start: typeof begin = async (container, ...rest) => {
    if (container.running !== undefined) {
      try {
        return await begin(container, ...rest);
      } catch (error) {
        if (!(error instanceof GantryError) || error.code !== 'INVALID_STATE') throw error;
        await container.settled;
      }
    }
    return container.exclusively(async () => {
      if (container.running === undefined) await container.settled;
      return begin(container, ...rest);
    });
  };

  const ownerOf = async ({ record, files: own }: Container): Promise<Owner> => {
    if (record.config.user === '') return asArchived;
    const image = await images.find(record.config.imageId);
    const lower = images.layerPaths(image);
    await images.showLayers(lower);
    return resolveUser(record.config.user, [], readAccounts([own.upper, ...lower]));
  };

  return {
    async stat(container, path) {
      const place = placeOf(path);
      const { output, ended } = listen(await start(container, 'stat', place), container, path);
      const found = await readStat(output, place);
      await ended;
      return found!.stat;
    },
    async read(container, path) {
      const place = placeOf(path);
      const process = await start(container, 'pack', place);
      const { output, ended, cancel } = listen(process, container, path);
      const found = await readStat(output, place);
      if (found === undefined) await ended;
      return { stat: found!.stat, tar: tarOf(found!.rest, output, ended), cancel };
    },
    async exportRoot(container) {
      const process = await start(container, 'pack', wholeRoot);
      const { output, ended, cancel } = listen(process, container, '/');
      const found = await readStat(output, wholeRoot);
      if (found === undefined) await ended;
      return { tar: tarOf(found!.rest, output, ended), cancel };
    },
    async write(container, path, tar, { keepKinds, ownedByUser }) {
      const owner = ownedByUser ? await ownerOf(container) : asArchived;
      const action = keepKinds ? 'unpack keeping kinds' : 'unpack';
      const process = await start(container, action, directoryOf(path), owner);
      const { output, ended } = listen(process, container, path);
      let over = false;
      void ended.catch(() => {}).then(() => (over = true));
      void (async () => {
        for await (const _nothing of output);
      })().catch(() => {});
      try {
        // What comes behind the end of the archive is read and dropped: who sends it waits for the answer.
        for await (const chunk of decompress(tar))
          if (!over) await Promise.race([process.write(chunk), ended.catch(() => {})]);
      } catch (error) {
        process.signal(SIGKILL);
        throw error;
      }
      process.closeStdin();
      await ended;
    },
  };
}

/** What came behind the stat, then the rest. */
async function* tarOf(
  first: Buffer,
  output: AsyncGenerator<Uint8Array>,
  ended: Promise<void>,
): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  yield* output;
  await ended;
}

const QUEUED_MAX = 1 << 20;

/** Output with backpressure, and the failure that the process tells at its end. */
function listen(
  process: RunningProcess,
  container: Container,
  path: string,
): { output: AsyncGenerator<Uint8Array>; ended: Promise<void>; cancel: () => void } {
  const queue: Uint8Array[] = [];
  let queued = 0;
  let complaint = '';
  let over = false;
  let cancelled = false;
  let wake = (): void => {};
  /** Each frame that came while the queue was full waits for itself. */
  const waiting: (() => void)[] = [];
  process.attach({
    output(stream, data) {
      if (stream === 'stderr') {
        complaint = (complaint + Buffer.from(data)).slice(-4096);
        return undefined;
      }
      if (cancelled) return undefined;
      queue.push(data.slice());
      queued += data.length;
      wake();
      if (queued < QUEUED_MAX) return undefined;
      return new Promise((resolve) => waiting.push(resolve));
    },
    end() {
      over = true;
      wake();
    },
  });
  const ended = process.exited.then(({ exitCode }) => {
    if (exitCode !== 0) throw failure(complaint.trim(), exitCode, container, path);
  });
  ended.catch(() => {});
  const output = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = queue.shift();
      if (next !== undefined) {
        queued -= next.length;
        if (queued < QUEUED_MAX) for (const resolve of waiting.splice(0)) resolve();
        yield next;
      } else if (over) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  };
  const cancel = (): void => {
    cancelled = true;
    process.signal(SIGKILL);
    // Its end comes behind the output that still waits.
    for (const resolve of waiting.splice(0)) resolve();
  };
  return { output: output(), ended, cancel };
}

/** Undefined where the process ended before: its own words tell why. */
async function readStat(
  output: AsyncGenerator<Uint8Array>,
  place: Place,
): Promise<{ stat: PathStat; rest: Buffer } | undefined> {
  let head = Buffer.alloc(0);
  const need = async (length: number): Promise<void> => {
    while (head.length < length) {
      const { value, done } = await output.next();
      if (done) return;
      head = Buffer.concat([head, value]);
    }
  };
  await need(ARCHIVE_STAT_SIZE);
  if (head.length < ARCHIVE_STAT_SIZE) return undefined;
  const linkLength = head.readUInt32LE(4);
  await need(ARCHIVE_STAT_SIZE + linkLength);
  const stat = {
    name: place.as,
    mode: head.readUInt32LE(0),
    size: Number(head.readBigUInt64LE(8)),
    modifiedSeconds: Number(head.readBigInt64LE(16)),
    modifiedNanoseconds: Number(head.readBigUInt64LE(24)),
    linkTarget: head.subarray(ARCHIVE_STAT_SIZE, ARCHIVE_STAT_SIZE + linkLength).toString(),
  };
  return { stat, rest: head.subarray(ARCHIVE_STAT_SIZE + linkLength) };
}

const ENOENT = 2;
const ENOTDIR = 20;
const EXDEV = 18;
const ELOOP = 40;

/** What the executor said → docker's words. */
function failure(complaint: string, exitCode: number, { record }: Container, path: string): GantryError {
  const line = complaint.split('\n').at(-1) ?? '';
  const errno = Number(/^path (\d+)$/.exec(line)?.[1] ?? 0);
  if (errno === ENOENT)
    return new GantryError('PATH_NOT_FOUND', `Could not find the file ${path} in container ${record.name}`);
  if (errno === ENOTDIR)
    return new GantryError('INVALID_ARGUMENT', `Cannot use "${path}" of container ${record.name}: not a directory`);
  if (errno === EXDEV)
    return new GantryError(
      'INVALID_ARGUMENT',
      `Cannot copy "${path}" of container ${record.name}: it is made by the kernel`,
      { hint: `Read it in the container: gantry exec ${record.name} cat ${path}` },
    );
  if (errno === ELOOP)
    return new GantryError('INVALID_ARGUMENT', `Cannot use "${path}" of container ${record.name}: too many links`);
  if (/read-only file system/i.test(line)) {
    const inMount = record.mounts.some(({ target }) => `${posix.join('/', path)}/`.startsWith(`${target}/`));
    const what = inMount ? 'mounted volume' : 'container rootfs';
    return new GantryError('PERMISSION_DENIED', `${what} is marked read-only`);
  }
  if (/no space left|quota exceeded/i.test(line))
    return new GantryError('DISK_FULL', `Cannot copy to "${path}" of container ${record.name}: ${line}`, {
      hint: 'Free space on the file system that holds the data root or the volume',
    });
  const [, kind, name = ''] = /^kind (directory|non-directory) (.*)$/.exec(line) ?? [];
  if (kind !== undefined) {
    const there = kind === 'directory' ? 'non-directory' : 'directory';
    const target = posix.join('/', path, name);
    return new GantryError('INVALID_ARGUMENT', `Cannot overwrite ${there} "${target}" with ${kind} "${path}"`);
  }
  const reason = line || (errno > 0 ? `errno ${errno}` : `its reader ended with status ${exitCode}`);
  return new GantryError('INVALID_ARCHIVE', `Cannot copy "${path}" of container ${record.name}: ${reason}`);
}
