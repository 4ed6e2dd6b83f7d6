// Finds names in the tree as the kernel would below a root: links are followed, and nothing leads out.
import {
  REFUSED_LEADS_NOWHERE,
  REFUSED_LINK_LOOP,
  REFUSED_NAME_TOO_LONG,
  REFUSED_NOT_A_DIRECTORY,
  REFUSED_PART_TOO_LONG,
} from './abi';
import { FT_DIRECTORY, FT_SYMLINK } from './disk';
import { allocate, refuse, setU32, setU8, u32at, u8at } from './memory';
import {
  addName,
  becomeDirectory,
  Directory,
  directoryOf,
  find,
  Node,
  parentOf,
  root,
  symlinkOf,
  targetOf,
} from './tree';

/** PATH_MAX, and room for the NUL that others need. */
const PATH_MAX = 4096;
const SLASH: u32 = 0x2f;
const DOT: u32 = 0x2e;

let cleanLength: i32 = 0;

export function newPathBuffer(): usize {
  return allocate(PATH_MAX);
}

function isDots(at: usize, length: i32, count: i32): bool {
  if (length != count) return false;
  for (let i = 0; i < length; i++) if (u8at(at + i) != DOT) return false;
  return true;
}

/** "/a/b" of any spelling: "./a//b/", "/a/b", "a/x/../b". Above the root is the root. Returns the length; "" is the root. */
export function cleanPath(name: usize, nameLength: i32, path: usize): i32 {
  let length = 0;
  for (let at = 0; at < nameLength; ) {
    let end = at;
    while (end < nameLength && u8at(name + end) != SLASH) end++;
    const part = end - at;
    if (isDots(name + at, part, 2)) {
      while (length > 0 && u8at(path + --length) != SLASH);
    } else if (part > 0 && !isDots(name + at, part, 1)) {
      if (length + part + 2 > PATH_MAX) refuse(REFUSED_NAME_TOO_LONG);
      setU8(path + length++, SLASH);
      memory.copy(path + length, name + at, part);
      length += part;
    }
    at = end + 1;
  }
  cleanLength = length;
  return length;
}

/** Links that one path may lead through, as the kernel counts. */
const LINKS_MAX = 40;
const pending: usize = allocate(8 * (LINKS_MAX + 2));
let depth: i32 = 0;

function push(at: usize, length: i32): void {
  setU32(pending + 8 * depth, <u32>at);
  setU32(pending + 8 * depth + 4, length);
  depth++;
}

let part: usize = 0;
let partLength: i32 = 0;
/** Whether the part is of the path itself, not of a link's target on the way. */
let isOwnPart: bool = false;

/** Takes the next part of what is left; false where nothing is. */
function nextPart(): bool {
  while (depth > 0) {
    const level = pending + 8 * (depth - 1);
    let at = <usize>u32at(level);
    let left = <i32>u32at(level + 4);
    while (left > 0 && u8at(at) == SLASH) {
      at++;
      left--;
    }
    if (left == 0) {
      depth--;
      continue;
    }
    let length = 0;
    while (length < left && u8at(at + length) != SLASH) length++;
    part = at;
    partLength = length;
    isOwnPart = depth == 1;
    setU32(level, <u32>at + length);
    setU32(level + 4, left - length);
    if (length > 255) refuse(REFUSED_PART_TOO_LONG);
    return true;
  }
  return false;
}

function isLastPart(): bool {
  for (let i = 0; i < depth; i++) {
    const at = <usize>u32at(pending + 8 * i);
    const length = <i32>u32at(pending + 8 * i + 4);
    for (let j = 0; j < length; j++) if (u8at(at + j) != SLASH) return false;
  }
  return true;
}

/** What walk() found: the directory and the last part in it, and the node behind it where there is one. */
export let foundDirectory: Directory = root;
export let foundName: usize = 0;
export let foundLength: i32 = 0;
export let foundNode: Node | null = null;

/** The path led to a directory by ".", ".." or as the root: it has no last part. */
export let foundItself: bool = false;

/** Links were followed: what stands at the end of the path may be on the way to it. */
export let foundThroughLinks: bool = false;

/** For walk(): what is missing on the way is made; the last part is followed where it is a link. */
export const MAKE_PARENTS = 1;
export const FOLLOW_LAST = 2;

/** Walks a path from the root. False where a directory on the way is missing and is not to be made. */
export function walk(path: usize, length: i32, flags: i32): bool {
  let directory = root;
  let links = 0;
  depth = 0;
  push(path, length);
  foundItself = true;
  foundThroughLinks = false;
  while (nextPart()) {
    if (isDots(part, partLength, 1)) continue;
    if (isDots(part, partLength, 2)) {
      directory = parentOf(directory);
      continue;
    }
    const isLast = isLastPart();
    let node = find(directory, part, partLength);
    if (isLast && (node === null || node.fileType != FT_SYMLINK || !(flags & FOLLOW_LAST))) {
      foundItself = false;
      foundDirectory = directory;
      foundName = part;
      foundLength = partLength;
      foundNode = node;
      if (node === null && !isOwnPart) return missing(flags);
      return true;
    }
    if (node === null) {
      if (!(flags & MAKE_PARENTS) || !isOwnPart) return missing(flags);
      node = addName(directory, part, partLength);
      becomeDirectory(node);
    }
    if (node.fileType == FT_SYMLINK) {
      if (++links > LINKS_MAX) refuse(REFUSED_LINK_LOOP);
      foundThroughLinks = true;
      const symlink = symlinkOf(node);
      const target = targetOf(symlink);
      if (u8at(target) == SLASH) directory = root;
      push(target, symlink.targetLength);
    } else if (node.fileType == FT_DIRECTORY) directory = directoryOf(node);
    else refuse(REFUSED_NOT_A_DIRECTORY);
  }
  foundDirectory = directory;
  foundNode = directory.node;
  return true;
}

function missing(flags: i32): bool {
  if (flags & MAKE_PARENTS) refuse(REFUSED_LEADS_NOWHERE);
  return false;
}
