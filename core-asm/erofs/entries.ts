// What an entry does to the tree: the semantics of host/linux/executor/unpack.c, without a file system.
import {
  REFUSED_LINK_DIRECTORY,
  REFUSED_LINK_EMPTY,
  REFUSED_LINK_MISSING,
  REFUSED_NOT_A_DIRECTORY,
  REFUSED_PART_TOO_LONG,
  REFUSED_ROOT,
  REFUSED_TYPE,
  REFUSED_WHITEOUT,
} from './abi';
import { FT_DIRECTORY } from './disk';
import { clearAttributes, entry } from './entry';
import { makeFile, makeNode, makeSymlink } from './files';
import { compareNames, isText, refuse, startsWith, u8at } from './memory';
import {
  cleanPath,
  FOLLOW_LAST,
  foundDirectory,
  foundItself,
  foundLength,
  foundName,
  foundNode,
  foundThroughLinks,
  MAKE_PARENTS,
  newPathBuffer,
  walk,
} from './paths';
import { addName, becomeDirectory, Directory, directoryOf, GONE, Node, root } from './tree';
import { clearXattrs, mergeXattrs, withOpaque } from './xattrs';

const path: usize = newPathBuffer();
const target: usize = newPathBuffer();
const SYMLINK_MAX = 4095;

let entries: f64 = 0;
let bytes: f64 = 0;

export function entryCount(): f64 {
  return entries;
}

/** Of all regular files, and the lengths of links: as docker counts. */
export function fileBytes(): f64 {
  return bytes;
}

/** The name that walk() has found, made where it is not there. */
function nameHere(): Node {
  const node = foundNode;
  return node !== null ? node : addName(foundDirectory, foundName, foundLength);
}

/** The name at the end of the path, for something new. What is there makes room, which may change where the path leads. */
function newName(length: i32, forDirectory: bool): Node {
  for (;;) {
    walk(path, length, MAKE_PARENTS);
    const there = foundNode;
    if (there === null || !foundThroughLinks || (forDirectory && there.fileType == FT_DIRECTORY)) break;
    there.fileType = GONE;
  }
  return nameHere();
}

/** Applies `entry`. True where it made a file, whose content is asked for. */
export function applyEntry(): bool {
  const length = cleanPath(entry.name, entry.nameLength, path);
  entries++;
  if (applyWhiteout(length)) return false;
  if (length == 0 && entry.type != 0x35) refuse(REFUSED_ROOT);
  switch (entry.type) {
    case 0x30:
      bytes += <f64>entry.size;
      makeFile(newName(length, false));
      return true;
    case 0x31:
      makeLink(length);
      break;
    case 0x32:
      if (entry.linkLength == 0) refuse(REFUSED_LINK_EMPTY);
      if (entry.linkLength > SYMLINK_MAX) refuse(REFUSED_PART_TOO_LONG);
      bytes += <f64>entry.linkLength;
      makeSymlink(newName(length, false));
      break;
    case 0x33:
    case 0x34:
    case 0x36:
      makeNode(newName(length, false));
      break;
    case 0x35:
      describe(directoryHere(length));
      break;
    default:
      refuse(REFUSED_TYPE);
  }
  return false;
}

/** A directory stays with what is in it; anything else makes room for one. */
function directoryHere(length: i32): Directory {
  if (length == 0) return root;
  const node = newName(length, true);
  return node.fileType == FT_DIRECTORY ? directoryOf(node) : becomeDirectory(node);
}

function describe(directory: Directory): void {
  directory.mode = entry.mode;
  directory.uid = entry.uid;
  directory.gid = entry.gid;
  directory.mtime = entry.mtime;
  directory.mtimeNsec = entry.mtimeNsec;
  directory.xattrs = mergeXattrs(directory.xattrs);
}

/** What the link is to, which must be there. */
function linkTarget(length: i32): Node | null {
  if (!walk(target, length, 0) || (foundNode === null && !foundItself)) refuse(REFUSED_LINK_MISSING);
  return foundNode;
}

function makeLink(length: i32): void {
  const targetLength = cleanPath(entry.link, entry.linkLength, target);
  if (compareNames(path, length, target, targetLength) == 0) return;
  let source = linkTarget(targetLength);
  walk(path, length, MAKE_PARENTS);
  let there = foundNode;
  while (there !== null) {
    // It makes room first, and may take with it what the link is to.
    there.fileType = GONE;
    source = linkTarget(targetLength);
    walk(path, length, MAKE_PARENTS);
    there = foundNode;
  }
  if (source === null || source.fileType == FT_DIRECTORY) {
    refuse(REFUSED_LINK_DIRECTORY);
    return;
  }
  const node = addName(foundDirectory, foundName, foundLength);
  node.fileType = source.fileType;
  node.payload = source.payload;
  node.isLinked = source.isLinked = true;
}

/** image-spec, layer.md: ".wh.NAME" hides NAME of the layers below, ".wh..wh..opq" all of them. True where it was one. */
function applyWhiteout(length: i32): bool {
  let base = length;
  while (base > 0 && u8at(path + base - 1) != 0x2f) base--;
  const name = path + base;
  const nameLength = length - base;
  if (!startsWith(name, nameLength, '.wh.')) return false;
  if (isText(name, nameLength, '.wh..wh..opq')) {
    hideAll(base - 1);
    return true;
  }
  // What aufs kept for itself.
  if (startsWith(name, nameLength, '.wh..wh.')) return true;
  memory.copy(name, name + 4, nameLength - 4);
  if (nameLength == 4 || isText(name, nameLength - 4, '.') || isText(name, nameLength - 4, '..'))
    refuse(REFUSED_WHITEOUT);
  walk(path, length - 4, MAKE_PARENTS);
  // What the layer itself has of this name stays.
  if (foundNode !== null) return true;
  clearAttributes(0);
  clearXattrs();
  entry.type = 0x33;
  entry.major = entry.minor = 0;
  makeNode(nameHere());
  return true;
}

function hideAll(length: i32): void {
  walk(path, length, MAKE_PARENTS | FOLLOW_LAST);
  let directory = foundDirectory;
  if (!foundItself) {
    const node = nameHere();
    if (node.fileType == GONE) becomeDirectory(node);
    else if (node.fileType != FT_DIRECTORY) refuse(REFUSED_NOT_A_DIRECTORY);
    directory = directoryOf(node);
  }
  directory.xattrs = withOpaque(directory.xattrs);
}
