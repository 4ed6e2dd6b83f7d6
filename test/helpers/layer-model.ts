// What a layer's entries make of an empty tree: a second, plain implementation to hold the writer of images against.
import type { ErofsKind } from './erofs-image.ts';
import type { LayerEntry } from './tar-dialects.ts';

export interface ModelFile {
  kind: ErofsKind;
  mode: number;
  uid: number;
  gid: number;
  mtime: bigint;
  device: [number, number];
  content: Buffer;
  target: string;
  xattrs: Record<string, string>;
  children: Map<string, ModelFile>;
  parent: ModelFile | undefined;
}

export class Refused extends Error {}

const kinds: Record<string, ErofsKind> = {
  0: 'file',
  2: 'link',
  3: 'character',
  4: 'block',
  5: 'directory',
  6: 'fifo',
};

function newFile(kind: ErofsKind, mode: number, parent?: ModelFile): ModelFile {
  return {
    kind,
    mode,
    uid: 0,
    gid: 0,
    mtime: 0n,
    device: [0, 0],
    content: Buffer.alloc(0),
    target: '',
    xattrs: {},
    children: new Map(),
    parent,
  };
}

/** ".." and "." taken out of a name by its text alone, as an archive's names are. */
export function partsOf(name: string): string[] {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts;
}

/** @throws {Refused} where a layer with these entries is refused. */
export function modelOf(entries: LayerEntry[]): ModelFile {
  const root = newFile('directory', 0o755);
  for (const entry of entries) apply(root, entry);
  return root;
}

/** The real directory behind a path; links are followed as the kernel does below a root. */
function directoryAt(root: ModelFile, parts: string[], make: boolean): ModelFile {
  let at = root;
  let followed = 0;
  const enter = (name: string, isOwn: boolean): void => {
    if (name === '' || name === '.') return;
    if (name === '..') {
      at = at.parent ?? root;
      return;
    }
    if (Buffer.byteLength(name) > 255) throw new Refused('name too long');
    let child = at.children.get(name);
    if (child === undefined) {
      if (!make || !isOwn) throw new Refused(make ? 'leads nowhere' : 'not in the layer');
      child = newFile('directory', 0o755, at);
      at.children.set(name, child);
    }
    if (child.kind === 'link') {
      if (++followed > 40) throw new Refused('Too many levels');
      if (child.target.startsWith('/')) at = root;
      for (const part of child.target.split('/')) enter(part, false);
    } else if (child.kind === 'directory') at = child;
    else throw new Refused('Not a directory');
  };
  for (const part of parts) enter(part, true);
  return at;
}

function apply(root: ModelFile, entry: LayerEntry): void {
  const parts = partsOf(entry.name);
  const base = parts.at(-1) ?? '';
  if (base.startsWith('.wh.')) {
    whiteout(root, parts.slice(0, -1), base);
    return;
  }
  if (parts.length === 0 && entry.type !== '5') throw new Refused('only a directory can be the root');
  if (Buffer.byteLength(base) > 255) throw new Refused('name too long');
  if (entry.type === '1') {
    link(root, parts, partsOf(entry.link));
    return;
  }
  if (entry.type === '2' && entry.link === '') throw new Refused('a link to nothing');
  const kind = kinds[entry.type]!;
  const { parent, there } = makeRoom(root, parts, kind === 'directory');
  const file = there ?? newFile(kind, 0, parent);
  file.mode = kind === 'link' ? 0o777 : entry.mode;
  file.uid = entry.uid;
  file.gid = entry.gid;
  file.mtime = entry.mtime;
  if (kind === 'character' || kind === 'block') file.device = entry.device;
  if (kind === 'file') file.content = entry.content;
  if (kind === 'link') file.target = entry.link;
  for (const [key, value] of Object.entries(entry.xattrs)) {
    if (key.startsWith('trusted.') || key.startsWith('user.overlay.')) continue;
    if (key.startsWith('user.') && kind !== 'file' && kind !== 'directory') continue;
    file.xattrs[key] = value;
  }
  if (parts.length > 0) parent.children.set(base, file);
}

/** Removes what is in the way, and looks again each time: it may have been a link on the way. */
function makeRoom(
  root: ModelFile,
  parts: string[],
  forDirectory: boolean,
): { parent: ModelFile; there: ModelFile | undefined } {
  if (parts.length === 0) return { parent: root, there: root };
  for (;;) {
    const parent = directoryAt(root, parts.slice(0, -1), true);
    const there = parent.children.get(parts.at(-1)!);
    if (there === undefined || (forDirectory && there.kind === 'directory')) return { parent, there };
    parent.children.delete(parts.at(-1)!);
  }
}

function link(root: ModelFile, parts: string[], target: string[]): void {
  if (parts.join('/') === target.join('/')) return;
  const find = (): ModelFile => {
    if (target.length === 0) return root;
    const found = directoryAt(root, target.slice(0, -1), false).children.get(target.at(-1)!);
    if (found === undefined) throw new Refused('not in the layer');
    return found;
  };
  find();
  for (;;) {
    const { children } = directoryAt(root, parts.slice(0, -1), true);
    if (!children.delete(parts.at(-1)!)) break;
    find();
  }
  const file = find();
  if (file.kind === 'directory') throw new Refused('a hard link to a directory');
  directoryAt(root, parts.slice(0, -1), true).children.set(parts.at(-1)!, file);
}

function whiteout(root: ModelFile, parents: string[], base: string): void {
  if (base === '.wh..wh..opq') {
    directoryAt(root, parents, true).xattrs['trusted.overlay.opaque'] = 'y';
    return;
  }
  if (base.startsWith('.wh..wh.')) return;
  const name = base.slice(4);
  if (['', '.', '..'].includes(name)) throw new Refused('the whiteout names nothing');
  const parent = directoryAt(root, parents, true);
  if (!parent.children.has(name)) parent.children.set(name, newFile('character', 0, parent));
}
