// --mount of RUN → mounts of the container, and what is to be undone behind it.
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError } from '../errors.ts';
import type { Draft } from '../image/builds.ts';
import type { HostConfig, Mount } from '../types.ts';
import type { BuildContext } from './build-context.ts';
import type { RunMount } from './dockerfile/ast.ts';
import { packTree } from './files/layer-draft.ts';
import { type DirectoryNode, find, type Node, newDirectory, treeDigest } from './files/tree.ts';
import { readImageFiles } from './image-files.ts';

export interface RunMounts {
  host: Pick<HostConfig, 'mounts' | 'tmpfs'>;
  /** Of secrets: in the container's memory only. */
  env: string[];
  /** Where something is mounted. */
  targets: string[];
  release(): Promise<void>;
}

/** What a step depends on by its mounts: what is in a cache or a secret counts as little as in BuildKit. */
export async function mountKeys(
  build: BuildContext,
  mounts: RunMount[],
  draftOf: (name: string) => Promise<Draft>,
): Promise<unknown[]> {
  return Promise.all(
    mounts.map(async (mount) => {
      if (mount.type !== 'bind') return mount;
      if (mount.from !== undefined) return { ...mount, from: (await draftOf(mount.from)).image.diffIds };
      return { ...mount, content: treeDigest(contextNode(build, mount.source)) };
    }),
  );
}

function contextNode({ files }: BuildContext, source: string): Node {
  const found = find(files, source)?.node;
  if (found !== undefined) return found;
  throw new GantryError('PATH_NOT_FOUND', `Cannot mount "${source}": it is not in the build context`, {
    hint: 'Paths of sources begin at the top of the build context',
  });
}

/** @param at makes a target absolute. */
export async function prepareMounts(
  build: BuildContext,
  mounts: RunMount[],
  at: (target: string) => string,
  draftOf: (name: string) => Promise<Draft>,
): Promise<RunMounts> {
  const found: RunMounts = { host: { mounts: [], tmpfs: {} }, env: [], targets: [], release: async () => {} };
  const undo: (() => Promise<void> | void)[] = [];
  found.release = async () => {
    for (const one of undo.splice(0).reverse()) await one();
  };
  try {
    for (const mount of mounts) {
      const target = mount.target === '' ? '' : at(mount.target);
      if (mount.type === 'tmpfs') found.host.tmpfs[target] = mount.size > 0 ? `exec,size=${mount.size}` : 'exec';
      else if (mount.type === 'secret') addSecret(build, mount, target, found);
      else if (mount.type === 'cache') {
        const { path, leave } = await takeCache(build, mount, draftOf);
        undo.push(leave);
        found.host.mounts.push({ type: 'bind', source: path, target, readOnly: mount.readOnly });
      } else found.host.mounts.push(await bindMount(build, mount, target, draftOf));
      if (target !== '') found.targets.push(target);
    }
    return found;
  } catch (error) {
    await found.release();
    throw error;
  }
}

function addSecret(
  { request, scratch }: BuildContext,
  { id, env, required, mode, uid, gid }: RunMount & { type: 'secret' },
  target: string,
  found: RunMounts,
): void {
  const secret = request.secrets.get(id);
  if (secret === undefined) {
    if (!required) return;
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot mount the secret "${id}": the client has sent none of this name`,
      {
        hint: `gantry build --secret id=${id},src=FILE; docker's classic builder cannot send secrets`,
      },
    );
  }
  if (env !== undefined) found.env.push(`${env}=${secret}`);
  if (target === '') return;
  const path = scratch.memoryPath('secret');
  writeFileSync(path, secret, { mode: 0o400, flag: 'wx' });
  chownSync(path, uid, gid);
  chmodSync(path, mode);
  found.host.mounts.push({ type: 'bind', source: path, target, readOnly: true });
}

/** A copy that goes with the build: what is written to it is dropped. */
async function bindMount(
  build: BuildContext,
  { from, source, writable }: RunMount & { type: 'bind' },
  target: string,
  draftOf: (name: string) => Promise<Draft>,
): Promise<Mount> {
  const root = from === undefined ? undefined : await readImageFiles(build, await draftOf(from), [source || '/']);
  const node = root === undefined ? contextNode(build, source) : find(root, source)?.node;
  if (node === undefined) throw new GantryError('PATH_NOT_FOUND', `Cannot mount "${source}": it is not in "${from}"`);
  const path = await materialize(build, node);
  return { type: 'bind', source: path, target, readOnly: !writable };
}

/** Made by the confined unpacker: nothing of a name in it is looked up by this process. */
async function materialize({ engine, scratch }: BuildContext, node: Node): Promise<string> {
  const path = scratch.path('mount');
  await mkdir(path, { mode: 0o755 });
  const tree: DirectoryNode = newDirectory();
  tree.entries.set(node.type === 'directory' ? 'tree' : 'file', node);
  await engine.images.builds.unpack(path, packTree(tree));
  return join(path, node.type === 'directory' ? 'tree' : 'file');
}

/** Caches in use: how many have one, and who waits for it alone. */
const inUse = new Map<string, number>();
const uses = new Map<string, number>();
const locked = new Map<string, Promise<void>>();

export function cachesRoot(dataRoot: string): string {
  return join(dataRoot, 'build', 'caches');
}

async function takeCache(
  build: BuildContext,
  { id, sharing, from, source, mode, uid, gid }: RunMount & { type: 'cache' },
  draftOf: (name: string) => Promise<Draft>,
): Promise<{ path: string; leave: () => void }> {
  const name = createHash('sha256')
    .update(JSON.stringify([id, from ?? '', source, mode, uid, gid]))
    .digest('hex');
  const root = cachesRoot(build.engine.paths.dataRoot);
  mkdirSync(root, { recursive: true, mode: 0o700 });
  let path = join(root, name.slice(0, 32));
  if (sharing === 'private')
    for (let copy = 1; (inUse.get(path) ?? 0) > 0; copy++) path = join(root, `${name.slice(0, 32)}-${copy}`);
  const place = path;
  let unlock = (): void => {};
  if (sharing === 'locked') {
    for (let other = locked.get(place); other !== undefined; other = locked.get(place)) await other;
    locked.set(place, new Promise((resolve) => (unlock = resolve)));
  }
  inUse.set(place, (inUse.get(place) ?? 0) + 1);
  uses.set(place, usesOfCache(place) + 1);
  const leave = (): void => {
    inUse.set(place, (inUse.get(place) ?? 1) - 1);
    if (sharing === 'locked') locked.delete(place);
    unlock();
  };
  try {
    const data = join(place, 'tree');
    if (!existsSync(data))
      await fill(build, place, data, from === undefined ? undefined : await draftOf(from), source, { mode, uid, gid });
    rmSync(cacheSizeFile(place), { force: true });
    utimesSync(place, new Date(), new Date());
    return { path: data, leave };
  } catch (error) {
    leave();
    throw error;
  }
}

async function fill(
  build: BuildContext,
  place: string,
  data: string,
  draft: Draft | undefined,
  source: string,
  { mode, uid, gid }: { mode: number; uid: number; gid: number },
): Promise<void> {
  const begun = draft && find(await readImageFiles(build, draft, [source || '/']), source)?.node;
  const tree = newDirectory();
  const entries = begun?.type === 'directory' ? begun.entries : new Map<string, Node>();
  tree.entries.set('tree', { ...newDirectory(), mode, uid, gid, entries });
  await mkdir(place, { recursive: true, mode: 0o700 });
  await build.engine.images.builds.unpack(place, packTree(tree));
  // Others may have been quicker.
  statSync(data);
}

/** Holds its bytes as long as nobody has used it since. */
export const cacheSizeFile = (path: string): string => join(path, 'size');

/** How often this process has used it. */
export const usesOfCache = (path: string): number => uses.get(path) ?? 0;

/** Whether a cache may be removed. */
export const isCacheInUse = (path: string): boolean => (inUse.get(path) ?? 0) > 0;
