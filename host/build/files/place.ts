// Puts what COPY and ADD have selected into a layer, by BuildKit's rules: what becomes of directories, who owns it, which mode.
import { GantryError } from '../../errors.ts';
import type { LayerDraft } from './layer-draft.ts';
import { readTar } from './read-tar.ts';
import type { Selected } from './select.ts';
import { type Attributes, type DirectoryNode, type Node, nodeOf, partsOf, type Spool } from './tree.ts';

export interface Placement {
  /** Absolute. */
  destination: string;
  /** It must be a directory: it ends with a slash, or there are several sources. */
  isDirectory: boolean;
  owner?: { uid: number; gid: number } | undefined;
  chmod?: ((mode: number, isDirectory: boolean) => number) | undefined;
}

export function place(
  draft: LayerDraft,
  selected: Selected[],
  { destination, isDirectory, owner, chmod }: Placement,
): void {
  const top = draft.resolve(destination);
  const intoDirectory = isDirectory || draft.typeOf(top) === 'directory';
  const changed = new Map<Node, Node>();
  const change = <T extends Node>(node: T): T => {
    const known = changed.get(node);
    if (known !== undefined) return known as T;
    const mode =
      chmod === undefined || node.type === 'symlink' ? node.mode : chmod(node.mode, node.type === 'directory');
    const made = { ...node, mode, ...owner };
    changed.set(node, made);
    return made;
  };
  const putAll = (path: string[], directory: DirectoryNode): void => {
    draft.makeDirectory(path, attributesOf(change(directory)));
    for (const name of [...directory.entries.keys()].sort()) {
      const child = directory.entries.get(name)!;
      const below = [...path, name];
      if (child.type === 'directory') putAll(below, child);
      else draft.put(below, change(child));
    }
  };
  for (const { under, node } of selected) {
    const path = under.length > 0 && !intoDirectory ? top : [...top, ...under];
    if (under.length > 0 && intoDirectory) draft.makeDirectory(top, owner);
    if (node.type === 'directory') putAll(path, node);
    else {
      draft.makeDirectory(path.slice(0, -1), owner);
      draft.put(path, change(node));
    }
  }
}

function attributesOf({ mode, uid, gid, mtime, xattrs }: Attributes): Attributes {
  return { mode, uid, gid, mtime, xattrs };
}

/** What ADD does with an archive: entries take the place of what is there, and keep their owners unless one is given. */
export async function placeArchive(
  draft: LayerDraft,
  tar: AsyncIterable<Uint8Array>,
  what: string,
  spool: Spool,
  { destination, owner, chmod }: Placement,
): Promise<void> {
  const top = draft.resolve(destination);
  draft.makeDirectory(top, owner);
  const made = new Map<string, Node>();
  for await (const { entry, content } of readTar(tar, what)) {
    const parts = partsOf(entry.name);
    const name = parts.pop();
    if (name === undefined) continue;
    const path = [...draft.resolve(`/${[...top, ...parts].join('/')}`), name];
    if (entry.type === 'link') {
      const target = made.get(partsOf(entry.link).join('/'));
      if (target === undefined)
        throw new GantryError(
          'INVALID_ARCHIVE',
          `${what}: "${entry.name}" links to "${entry.link}", which is no file before it`,
        );
      draft.put(path, target, true);
      made.set([...parts, name].join('/'), target);
      continue;
    }
    const node = { ...(await nodeOf(entry, () => spool.add(content()))), ...owner };
    if (chmod !== undefined && node.type !== 'symlink') node.mode = chmod(node.mode, node.type === 'directory');
    if (node.type === 'directory') draft.setDirectory(path, node);
    else {
      draft.put(path, node, true);
      made.set([...parts, name].join('/'), node);
    }
  }
}

/** "0644", "u=rwX,go=rX". @throws {GantryError} INVALID_ARGUMENT. */
export function readMode(text: string): (mode: number, isDirectory: boolean) => number {
  if (/^[0-7]{1,5}$/.test(text)) {
    const value = Number.parseInt(text, 8);
    return () => value & 0o7777;
  }
  const clauses = text.split(',').map((clause) => /^([ugoa]*)((?:[-+=][rwxXst]*)+)$/.exec(clause));
  if (clauses.includes(null))
    throw new GantryError('INVALID_ARGUMENT', `Invalid chmod parameter: '${text}'`, {
      hint: 'Octal digits such as 0755, or as chmod takes it: u=rwX,go=rX',
    });
  return (mode, isDirectory) => clauses.reduce((at, clause) => applied(at, clause!, isDirectory), mode);
}

function applied(mode: number, [, given, actions]: RegExpExecArray, isDirectory: boolean): number {
  const who = given === '' || given!.includes('a') ? 'ugo' : given!;
  let result = mode;
  for (const [, operator, letters] of actions!.matchAll(/([-+=])([rwxXst]*)/g)) {
    let bits = 0;
    let reset = 0;
    for (const [letter, shift] of [
      ['u', 6],
      ['g', 3],
      ['o', 0],
    ] as const) {
      if (!who.includes(letter)) continue;
      const runs = letters!.includes('x') || (letters!.includes('X') && (isDirectory || (mode & 0o111) !== 0));
      const own = (letters!.includes('r') ? 4 : 0) | (letters!.includes('w') ? 2 : 0) | (runs ? 1 : 0);
      bits |= own << shift;
      reset |= 7 << shift;
      if (letters!.includes('s') && letter !== 'o') bits |= letter === 'u' ? 0o4000 : 0o2000;
    }
    if (letters!.includes('t')) bits |= 0o1000;
    result = operator === '+' ? result | bits : operator === '-' ? result & ~bits : (result & ~reset) | bits;
  }
  return result;
}
