// The end of an image: inodes and names of all directories, link counts that have grown, and the superblock last of all.
import { ACTION_WRITE, REFUSED_XATTR_TOO_LARGE } from './abi';
import { digestHigh, digestLow } from './archive';
import {
  BLOCK,
  BLOCK_BITS,
  COMPAT_CHECKSUM,
  COMPAT_MTIME,
  crc32c,
  FLAT_INLINE,
  FLAT_PLAIN,
  FT_DIRECTORY,
  INCOMPAT_CHUNKED_FILE,
  INODE,
  INODE_LINKS,
  MAGIC,
  S_IFDIR,
  SLOT,
  Superblock,
  SUPERBLOCK_AT,
} from './disk';
import { hasChunkedFiles } from './files';
import { ask, blocksOf, closeRegion, endBlock, nidOf, positionOf, putInode, takeBlocks } from './image';
import { countLinks, linkCountAt, linkCounts, linkedSlot, noteLinked } from './links';
import { allocate, refuse } from './memory';
import { NAMES_END, putNames, skipNames, startNames } from './names';
import { sortNames } from './sort';
import { Directory, nextDirectory, root, slotOf } from './tree';
import { keptLength, putKeptXattrs, xattrArea } from './xattrs';

const ROOT_AT = SUPERBLOCK_AT + 128;
const ROOT_NID = ROOT_AT / SLOT;

const MEASURE = 0;
const INODES = 1;
const NAMES = 2;
const LINKS = 3;
const SUPERBLOCK = 4;
const DONE = 5;
let phase: i32 = MEASURE;

let inodes: u64 = 0;
let next: Directory | null = null;

/** Directories' inodes lie side by side, and behind them all the blocks of those with many names. */
let inodesBlock: u32 = 0;

const BUFFER = 1 << 19;
let buffer: usize = 0;

/** Goes on until something is asked for. False when the image is whole. */
export function finishImage(): bool {
  switch (phase) {
    case MEASURE:
      closeRegion();
      measureAll();
      countLinks();
      inodes += linkCounts();
      layOut();
      buffer = allocate(BUFFER);
      next = nextDirectory(root);
      phase = INODES;
      return true;
    case INODES:
      putInodes();
      return true;
    case NAMES:
      putBlocks();
      return true;
    case LINKS:
      putLinks();
      return true;
    case SUPERBLOCK:
      putFirstBlock();
      phase = DONE;
      return true;
  }
  return false;
}

function measureAll(): void {
  let at: Directory | null = root;
  while (at !== null) {
    sortNames(at);
    countInodes(at);
    measure(at);
    at = nextDirectory(at);
  }
}

function countInodes(directory: Directory): void {
  inodes++;
  let node = directory.first;
  while (node !== null) {
    if (node.fileType == FT_DIRECTORY) directory.subdirectories++;
    else if (node.isLinked) noteLinked(slotOf(node));
    else inodes++;
    node = node.next;
  }
}

/** How many blocks its names take, and what of the last one can stand behind the inode. */
function measure(directory: Directory): void {
  startNames(directory);
  let blocks: u32 = 0;
  let used = skipNames();
  for (let more = skipNames(); more != NAMES_END; more = skipNames()) {
    blocks++;
    used = more;
  }
  const room = directory === root ? BLOCK - ROOT_AT : BLOCK;
  const front = INODE + xattrArea(keptLength(directory.xattrs));
  if (directory === root && front > room) refuse(REFUSED_XATTR_TOO_LARGE);
  const isInline = front + used <= room;
  directory.tail = used;
  directory.wholeBlocks = isInline ? blocks : blocks + 1;
  directory.isInline = isInline;
}

function sizeBehind(directory: Directory): i32 {
  const size = INODE + xattrArea(keptLength(directory.xattrs)) + (directory.isInline ? directory.tail : 0);
  return (size + SLOT - 1) & ~(SLOT - 1);
}

/** Where an inode of this size goes, that wants to be within one block. */
function placeAt(position: u64, size: i32): u64 {
  const within = <i32>(position & (BLOCK - 1));
  return within + min(size, BLOCK) > BLOCK ? position + (BLOCK - within) : position;
}

function layOut(): void {
  let position: u64 = 0;
  let blocks: u64 = root.wholeBlocks;
  inodesBlock = endBlock();
  root.nid = ROOT_NID;
  let at = nextDirectory(root);
  while (at !== null) {
    const size = sizeBehind(at);
    position = placeAt(position, size);
    at.nid = (((<u64>inodesBlock) << BLOCK_BITS) + position) / SLOT;
    position += size;
    blocks += at.wholeBlocks;
    at = nextDirectory(at);
  }
  takeBlocks(blocksOf(position));
  let block = takeBlocks(blocks);
  at = root;
  while (at !== null) {
    at.firstBlock = block;
    block += at.wholeBlocks;
    at = nextDirectory(at);
  }
}

function putDirectory(directory: Directory, at: usize): void {
  const xattrs = keptLength(directory.xattrs);
  const lastBlocks = directory.isInline ? directory.wholeBlocks : directory.wholeBlocks - 1;
  const size = ((<u64>lastBlocks) << BLOCK_BITS) + directory.tail;
  const unit = directory.wholeBlocks > 0 ? directory.firstBlock : 0;
  const inode = putInode(
    at,
    directory.isInline ? FLAT_INLINE : FLAT_PLAIN,
    S_IFDIR | directory.mode,
    size,
    unit,
    xattrs,
  );
  inode.uid = directory.uid;
  inode.gid = directory.gid;
  inode.mtime = directory.mtime;
  inode.mtimeNsec = directory.mtimeNsec;
  inode.links = 2 + directory.subdirectories;
  putKeptXattrs(at + INODE, directory.xattrs);
  if (!directory.isInline) return;
  startNames(directory);
  for (let i: u32 = 0; i < directory.wholeBlocks; i++) skipNames();
  putNames(directory, at + INODE + xattrArea(xattrs));
}

/** Bytes of inodes that are written. */
let written: u64 = 0;

function putInodes(): void {
  memory.fill(buffer, 0, BUFFER);
  let end = written;
  while (next !== null) {
    const size = sizeBehind(next!);
    const position = placeAt(end, size);
    if (position + size - written > <u64>BUFFER) break;
    putDirectory(next!, buffer + <usize>(position - written));
    end = position + size;
    next = nextDirectory(next!);
  }
  if (end > written) ask(ACTION_WRITE, buffer, positionOf(inodesBlock) + <f64>written, <f64>(end - written));
  written = end;
  if (next !== null) return;
  next = root;
  startNames(root);
  phase = NAMES;
}

/** Blocks of the directory at hand that are written. */
let blocksPut: u32 = 0;

function putBlocks(): void {
  let used = 0;
  let first: u32 = 0;
  while (next !== null && used < BUFFER) {
    const directory = next!;
    if (blocksPut == directory.wholeBlocks) {
      blocksPut = 0;
      next = nextDirectory(directory);
      if (next !== null) startNames(next!);
      continue;
    }
    if (used == 0) first = directory.firstBlock + blocksPut;
    memory.fill(buffer + used, 0, BLOCK);
    putNames(directory, buffer + used);
    used += BLOCK;
    blocksPut++;
  }
  if (used > 0) ask(ACTION_WRITE, buffer, positionOf(first), used);
  if (next === null) phase = LINKS;
}

let linksPut: i32 = 0;

function putLinks(): void {
  if (linksPut < linkCounts()) {
    const index = linksPut++;
    ask(ACTION_WRITE, linkCountAt(index), <f64>nidOf(linkedSlot(index)) * SLOT + INODE_LINKS, 4);
    return;
  }
  phase = SUPERBLOCK;
}

function putFirstBlock(): void {
  memory.fill(buffer, 0, BLOCK);
  putDirectory(root, buffer + ROOT_AT);
  const block = changetype<Superblock>(buffer + SUPERBLOCK_AT);
  block.magic = MAGIC;
  block.featureCompat = COMPAT_CHECKSUM | COMPAT_MTIME;
  block.featureIncompat = hasChunkedFiles() ? INCOMPAT_CHUNKED_FILE : 0;
  block.blockBits = <u8>BLOCK_BITS;
  block.rootNid = <u16>ROOT_NID;
  block.inodes = inodes;
  block.blocks = endBlock();
  // Version 8 of RFC 9562: bits of our own.
  block.uuidLow = (digestLow & 0xff0fffffffffffff) | 0x0080000000000000;
  block.uuidHigh = (digestHigh & 0xffffffffffffff3f) | 0x80;
  block.checksum = crc32c(buffer + SUPERBLOCK_AT, BLOCK - SUPERBLOCK_AT);
  ask(ACTION_WRITE, buffer, 0, BLOCK);
}
