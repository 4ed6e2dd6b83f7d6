// Files of a build's context (or of a stage, an image, an archive) as an index in memory: their content lies in one spool file,
// nothing of them is ever made on the host by its name, and links are followed here only.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { posix } from 'node:path';
import { GantryError } from '../../errors.ts';
import { readTar, type TarEntry } from './read-tar.ts';

export interface Attributes {
  mode: number;
  uid: number;
  gid: number;
  /** Whole seconds since the epoch. */
  mtime: number;
  xattrs: ReadonlyMap<string, Buffer>;
}

/** Where bytes lie. */
export interface Content {
  spool: string;
  offset: number;
  size: number;
  /** sha256, hex. */
  digest: string;
}

export type Node = Attributes &
  (
    | { type: 'file'; content: Content }
    | { type: 'directory'; entries: Map<string, Node> }
    | { type: 'symlink'; target: string }
    | { type: 'character' | 'block' | 'fifo'; major: number; minor: number }
  );
export type DirectoryNode = Node & { type: 'directory' };
export type FileNode = Node & { type: 'file' };

/** What a name is in that no archive told of. */
export function newDirectory(mtime = 0): DirectoryNode {
  return { type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime, xattrs: new Map(), entries: new Map() };
}

const LINKS_MAX = 255;

/** "a/../b" and "/b" → ["b"]; above the root is the root. */
export function partsOf(path: string): string[] {
  return posix.join('/', path).split('/').filter(Boolean);
}

/** Follows links inside the tree; `path` is where that led. */
export function find(root: DirectoryNode, path: string, followLast = true): { node: Node; path: string[] } | undefined {
  let left = partsOf(path);
  let at: { node: Node; name: string }[] = [{ node: root, name: '' }];
  for (let links = 0; left.length > 0; ) {
    const name = left.shift()!;
    if (name === '.') continue;
    if (name === '..') {
      if (at.length > 1) at.pop();
      continue;
    }
    const { node } = at.at(-1)!;
    if (node.type !== 'directory') return undefined;
    const next = node.entries.get(name);
    if (next === undefined) return undefined;
    if (next.type === 'symlink' && (left.length > 0 || followLast)) {
      if (++links > LINKS_MAX) return undefined;
      if (next.target.startsWith('/')) at = at.slice(0, 1);
      left = [...next.target.split('/').filter(Boolean), ...left];
    } else at.push({ node: next, name });
  }
  return { node: at.at(-1)!.node, path: at.slice(1).map(({ name }) => name) };
}

/** Digest of a node with all below it: kinds, modes, owners, attributes, names and content, but no times. */
export function treeDigest(node: Node): string {
  const hash = createHash('sha256');
  const add = (name: string, one: Node): void => {
    const { type, mode, uid, gid, xattrs } = one;
    const attributes = [...xattrs].map(([key, value]) => [key, value.toString('base64')]).sort();
    const special =
      type === 'file'
        ? one.content.digest
        : type === 'symlink'
          ? one.target
          : type === 'directory'
            ? ''
            : [one.major, one.minor];
    hash.update(`${JSON.stringify([name, type, mode, uid, gid, attributes, special])}\n`);
    if (type !== 'directory') return;
    for (const key of [...one.entries.keys()].sort()) add(`${name}/${key}`, one.entries.get(key)!);
  };
  add('', node);
  return hash.digest('hex');
}

export function contentOf({ spool, offset, size }: Content): AsyncIterable<Uint8Array> {
  return size === 0
    ? (async function* () {})()
    : (createReadStream(spool, {
        start: offset,
        end: offset + size - 1,
        highWaterMark: 1 << 18,
      }) as AsyncIterable<Uint8Array>);
}

export async function textOf(content: Content): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of contentOf(content)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Writes contents one behind the other into one file. */
export interface Spool {
  add(source: AsyncIterable<Uint8Array>): Promise<Content>;
  close(): Promise<void>;
}

/** @param path of a file that is not there yet. */
export async function createSpool(path: string): Promise<Spool> {
  const file: FileHandle = await open(path, 'wx', 0o600);
  let end = 0;
  return {
    async add(source) {
      const hash = createHash('sha256');
      const offset = end;
      for await (const chunk of source) {
        hash.update(chunk);
        for (let at = 0; at < chunk.length; ) {
          const { bytesWritten } = await file.write(chunk, at, chunk.length - at, end);
          at += bytesWritten;
          end += bytesWritten;
        }
      }
      return { spool: path, offset, size: end - offset, digest: hash.digest('hex') };
    },
    close: () => file.close(),
  };
}

/**
 * The tree of an archive, its content in `spool`. Later entries take the place of earlier ones; links of archives to each other
 * stay one file.
 * @throws {GantryError} INVALID_ARCHIVE.
 */
export async function readTree(
  source: AsyncIterable<Uint8Array>,
  spool: Spool,
  what: string,
  { owners = true }: { /** False: all is root's, as what clients send. */ owners?: boolean } = {},
): Promise<DirectoryNode> {
  const root = newDirectory();
  for await (const { entry: read, content } of readTar(source, what)) {
    const entry = owners ? read : { ...read, uid: 0, gid: 0 };
    const parts = partsOf(entry.name);
    const name = parts.pop();
    if (name === undefined) {
      if (entry.type === 'directory') Object.assign(root, attributesOf(entry));
      continue;
    }
    const parent = parentIn(root, parts);
    if (entry.type === 'link') {
      const target = find(root, entry.link, false)?.node;
      if (target === undefined || target.type === 'directory')
        throw new GantryError(
          'INVALID_ARCHIVE',
          `${what}: "${entry.name}" links to "${entry.link}", which is no file before it`,
        );
      parent.entries.set(name, target);
      continue;
    }
    const before = parent.entries.get(name);
    if (entry.type === 'directory' && before?.type === 'directory') Object.assign(before, attributesOf(entry));
    else parent.entries.set(name, await nodeOf(entry, () => spool.add(content())));
  }
  return root;
}

export async function nodeOf(entry: TarEntry, content: () => Promise<Content>): Promise<Node> {
  const attributes = attributesOf(entry);
  switch (entry.type) {
    case 'file':
      return { type: 'file', ...attributes, content: await content() };
    case 'directory':
      return { type: 'directory', ...attributes, entries: new Map() };
    case 'symlink':
      return { type: 'symlink', ...attributes, target: entry.link };
    default:
      return { type: entry.type as 'fifo', ...attributes, major: entry.major, minor: entry.minor };
  }
}

function attributesOf({ mode, uid, gid, mtime, xattrs }: TarEntry): Attributes {
  return { mode, uid, gid, mtime, xattrs };
}

/** The directory of these names, made where it is missing; what stands in its way goes, as when it is unpacked. */
function parentIn(root: DirectoryNode, parts: string[]): DirectoryNode {
  let at = root;
  for (const part of parts) {
    const next = at.entries.get(part);
    if (next?.type === 'directory') at = next;
    else {
      const made = newDirectory();
      at.entries.set(part, made);
      at = made;
    }
  }
  return at;
}
