// The layer's tree: a name and where its inode lies for each entry, more for directories. What is replaced is let go, not freed.
import { FT_DIRECTORY, FT_SYMLINK } from './disk';
import { allocate, allocateSmall, compareNames, setU32, u32at, u8at } from './memory';

/** 20 bytes and the name. */
@unmanaged
export class Node {
  /** Next entry of the directory; in order of names once it is sorted. */
  next: Node | null;
  chain: Node | null;
  parent: Directory;
  /** What is behind the name: a Directory, a Symlink, else the slot of an inode. */
  payload: u32;
  fileType: u8;
  nameLength: u8;
  /** Other names have the same inode, or once had. */
  isLinked: bool;
}

const NAME_AT = 19;
/** As a file type: the name was removed, and is skipped from then on. */
export const GONE: u8 = 0;

@unmanaged
export class Directory {
  mtime: i64;
  /** Where its inode is, known at the end. */
  nid: u64;
  /** Null for the root. */
  node: Node | null;
  first: Node | null;
  xattrs: usize;
  mode: u32;
  uid: u32;
  gid: u32;
  mtimeNsec: u32;
  /** Found at the end: blocks of names of its own, the first of them, bytes of names in the last. */
  wholeBlocks: u32;
  firstBlock: u32;
  tail: u32;
  subdirectories: u32;
  /** The last names stand behind the inode. */
  isInline: bool;
}

@unmanaged
export class Symlink {
  slot: u32;
  targetLength: u32;
}

const TARGET_AT = 8;

export function nameOf(node: Node): usize {
  return changetype<usize>(node) + NAME_AT;
}

export function directoryOf(node: Node): Directory {
  return changetype<Directory>(<usize>node.payload);
}

export function symlinkOf(node: Node): Symlink {
  return changetype<Symlink>(<usize>node.payload);
}

export function targetOf(symlink: Symlink): usize {
  return changetype<usize>(symlink) + TARGET_AT;
}

/** Where the inode of anything but a directory is. */
export function slotOf(node: Node): u32 {
  return node.fileType == FT_SYMLINK ? symlinkOf(node).slot : node.payload;
}

export function newSymlink(slot: u32, target: usize, length: i32): Symlink {
  const symlink = changetype<Symlink>(allocateSmall(TARGET_AT + length));
  symlink.slot = slot;
  symlink.targetLength = length;
  memory.copy(targetOf(symlink), target, length);
  return symlink;
}

function newDirectory(node: Node | null): Directory {
  const directory = changetype<Directory>(allocateSmall(offsetof<Directory>()));
  directory.node = node;
  directory.mode = 0o755;
  return directory;
}

/** The names that are there, by directory and name. */
let heads: usize = allocate(4 << 12);
let mask: u32 = (1 << 12) - 1;
let names: u32 = 0;

export const root: Directory = newDirectory(null);

export function parentOf(directory: Directory): Directory {
  const node = directory.node;
  return node === null ? root : node.parent;
}

function hash(directory: Directory, name: usize, length: i32): u32 {
  let value: u32 = 0x811c9dc5 ^ <u32>changetype<usize>(directory);
  for (let i = 0; i < length; i++) value = (value ^ u8at(name + i)) * 0x01000193;
  value ^= value >>> 15;
  value *= 0x2c1b3c6d;
  return value ^ (value >>> 13);
}

export function find(directory: Directory, name: usize, length: i32): Node | null {
  let node = changetype<Node | null>(<usize>u32at(heads + 4 * (hash(directory, name, length) & mask)));
  while (node !== null) {
    if (
      node.fileType != GONE &&
      node.parent === directory &&
      compareNames(nameOf(node), node.nameLength, name, length) == 0
    )
      return node;
    node = node.chain;
  }
  return null;
}

function enter(node: Node): void {
  const head = heads + 4 * (hash(node.parent, nameOf(node), node.nameLength) & mask);
  node.chain = changetype<Node | null>(<usize>u32at(head));
  setU32(head, <u32>changetype<usize>(node));
}

function growTable(): void {
  const old = heads;
  const oldMask = mask;
  mask = (mask << 2) | 3;
  heads = allocate(4 * <i32>(mask + 1));
  for (let i: u32 = 0; i <= oldMask; i++) {
    let node = changetype<Node | null>(<usize>u32at(old + 4 * i));
    while (node !== null) {
      const next = node.chain;
      enter(node);
      node = next;
    }
  }
}

/** A name that is not there yet, with nothing behind it. */
export function addName(directory: Directory, name: usize, length: i32): Node {
  const node = changetype<Node>(allocateSmall(NAME_AT + length));
  node.parent = directory;
  node.nameLength = <u8>length;
  memory.copy(nameOf(node), name, length);
  node.next = directory.first;
  directory.first = node;
  if (++names > mask) growTable();
  enter(node);
  return node;
}

/** An empty directory behind the name; whatever was there is out of the tree. */
export function becomeDirectory(node: Node): Directory {
  const directory = newDirectory(node);
  node.fileType = FT_DIRECTORY;
  node.isLinked = false;
  node.payload = <u32>changetype<usize>(directory);
  return directory;
}

/** The next directory of the tree, parents first; null after the last. */
export function nextDirectory(directory: Directory): Directory | null {
  let node = directory.first;
  let at = directory;
  for (;;) {
    while (node !== null) {
      if (node.fileType == FT_DIRECTORY) return directoryOf(node);
      node = node.next;
    }
    const own = at.node;
    if (own === null) return null;
    node = own.next;
    at = own.parent;
  }
  return null;
}
