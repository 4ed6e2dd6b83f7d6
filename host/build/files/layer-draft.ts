// A layer in the making: what COPY, ADD and WORKDIR put on top of the layers below, whose links are followed without a mount.
// Directories that are there already keep what they are; so the same files make the same layer, whenever it is made.
import { GantryError } from '../../errors.ts';
import type { TarEntry } from './read-tar.ts';
import { type Attributes, contentOf, type DirectoryNode, type Node, newDirectory, partsOf } from './tree.ts';
import { TAR_END, tarHeader, tarPadding } from './write-tar.ts';

/** What the layers below have under one name. */
export type Below = Omit<Attributes, 'xattrs'> &
  ({ type: 'symlink'; target: string } | { type: 'file' | 'directory' | 'other' });

/** Looks one name up in a directory of the layers below, whose path has no links; the name itself is not followed. */
export type LookUp = (directory: string[], name: string) => Below | undefined;

export interface LayerDraft {
  /** Where a path leads: links are followed, the last one too; of what is not there nothing is. */
  resolve(path: string): string[];
  typeOf(path: string[]): Below['type'] | undefined;
  /** Makes a directory and those above it where they are missing. @throws {GantryError} where something else is in the way. */
  makeDirectory(path: string[], attributes?: Partial<Attributes>): void;
  /** The same, and one that is there gets the attributes, too. */
  setDirectory(path: string[], attributes: Attributes): void;
  /** @param replaces a directory may be taken the place of, as by what unpacks archives. @throws {GantryError}. */
  put(path: string[], node: Node, replaces?: boolean): void;
  readonly isEmpty: boolean;
  /** The layer; no time in it is later than `latest`, in seconds. */
  pack(latest?: number): AsyncGenerator<Uint8Array>;
}

const LINKS_MAX = 40;

/** @param time of directories that are made on the way, in seconds. */
export function createLayerDraft(lookUp: LookUp, time: number): LayerDraft {
  const root = newDirectory();
  const known = new Map<string, Below | undefined>();
  const below = (directory: string[], name: string): Below | undefined => {
    const key = [...directory, name].join('/');
    if (!known.has(key)) known.set(key, isMissing(directory) ? undefined : lookUp(directory, name));
    return known.get(key);
  };
  /** Known not to be in the layers below: nothing in it is, either. */
  const isMissing = (directory: string[]): boolean => {
    const key = directory.join('/');
    return known.has(key) && known.get(key)?.type !== 'directory';
  };
  const drafted = (path: string[]): Node | undefined => {
    let at: Node = root;
    for (const part of path) {
      const next: Node | undefined = at.type === 'directory' ? at.entries.get(part) : undefined;
      if (next === undefined) return undefined;
      at = next;
    }
    return at;
  };
  const at = (directory: string[], name: string): Node | Below | undefined =>
    drafted([...directory, name]) ?? below(directory, name);

  /** The drafted directory of a path without links. */
  const open = (path: string[], attributes?: Partial<Attributes>, replaces = false): DirectoryNode => {
    let here: DirectoryNode = root;
    for (const [index, name] of path.entries()) {
      const next = here.entries.get(name);
      if (next?.type === 'directory') {
        here = next;
        continue;
      }
      const there = next === undefined ? below(path.slice(0, index), name) : undefined;
      const blocked = next !== undefined || (there !== undefined && there.type !== 'directory');
      if (blocked && !(replaces && index === path.length - 1))
        throw new GantryError(
          'INVALID_ARGUMENT',
          `Cannot make the directory "/${path.join('/')}": "/${path.slice(0, index + 1).join('/')}" is no directory`,
        );
      const made = newDirectory(time);
      if (there?.type === 'directory')
        Object.assign(made, { mode: there.mode, uid: there.uid, gid: there.gid, mtime: there.mtime });
      else Object.assign(made, attributes);
      here.entries.set(name, made);
      here = made;
    }
    return here;
  };

  return {
    resolve(path) {
      let left = partsOf(path);
      let resolved: string[] = [];
      for (let links = 0; left.length > 0; ) {
        const name = left.shift()!;
        if (name === '.') continue;
        if (name === '..') {
          resolved.pop();
          continue;
        }
        const found = at(resolved, name);
        if (found?.type !== 'symlink') {
          resolved.push(name);
          continue;
        }
        if (++links > LINKS_MAX)
          throw new GantryError('INVALID_ARGUMENT', `Cannot follow "${path}" in the image: too many links`);
        if (found.target.startsWith('/')) resolved = [];
        left = [...found.target.split('/').filter(Boolean), ...left];
      }
      return resolved;
    },
    typeOf(path) {
      if (path.length === 0) return 'directory';
      const found = at(path.slice(0, -1), path.at(-1)!);
      return found === undefined || ['file', 'directory', 'symlink'].includes(found.type)
        ? (found?.type as 'file')
        : 'other';
    },
    makeDirectory(path, attributes) {
      open(path, attributes);
    },
    setDirectory(path, { mode, uid, gid, mtime, xattrs }) {
      Object.assign(open(path, undefined, true), { mode, uid, gid, mtime, xattrs });
    },
    put(path, node, replaces = false) {
      const name = path.at(-1);
      if (name === undefined) throw new GantryError('INVALID_ARGUMENT', 'Cannot put a file in the place of "/"');
      if (name.startsWith('.wh.'))
        throw new GantryError(
          'INVALID_ARGUMENT',
          `Cannot put "/${path.join('/')}" into a layer: names that begin with ".wh." say what is removed`,
        );
      const parent = path.slice(0, -1);
      if (!replaces && node.type !== 'directory' && at(parent, name)?.type === 'directory')
        throw new GantryError('INVALID_ARGUMENT', `Cannot overwrite the directory "/${path.join('/')}" with a file`);
      open(parent).entries.set(name, node);
    },
    get isEmpty() {
      return root.entries.size === 0;
    },
    pack: (latest) => packTree(root, latest),
  };
}

/** A tree as a tar, by name, each directory before what is in it; a node under several names is one file with hard links. */
export async function* packTree(root: DirectoryNode, latest = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array> {
  const first = new Map<Node, string>();
  for (const [name, node] of entriesOf(root, '')) {
    const linked = node.type === 'directory' ? undefined : first.get(node);
    if (linked === undefined) first.set(node, name);
    const entry: TarEntry = {
      name,
      type: linked === undefined ? node.type : 'link',
      mode: node.mode,
      uid: node.uid,
      gid: node.gid,
      mtime: Math.min(node.mtime, latest),
      size: node.type === 'file' && linked === undefined ? node.content.size : 0,
      link: linked ?? (node.type === 'symlink' ? node.target : ''),
      major: 'major' in node ? node.major : 0,
      minor: 'minor' in node ? node.minor : 0,
      xattrs: linked === undefined ? node.xattrs : new Map(),
    };
    yield tarHeader(entry);
    if (node.type !== 'file' || linked !== undefined) continue;
    yield* contentOf(node.content);
    yield tarPadding(node.content.size);
  }
  yield TAR_END;
}

function* entriesOf(directory: DirectoryNode, prefix: string): Generator<[string, Node]> {
  for (const name of [...directory.entries.keys()].sort()) {
    const node = directory.entries.get(name)!;
    yield [`${prefix}${name}`, node];
    if (node.type === 'directory') yield* entriesOf(node, `${prefix}${name}/`);
  }
}
