// Inodes of what is not a directory: files with their content, links, devices, FIFOs, whiteouts.
import { ACTION_COPY, ACTION_READ, ACTION_WRITE, REFUSED_IMAGE_TOO_LARGE } from './abi';
import {
  BLOCK,
  BLOCK_BITS,
  CHUNK_BASED,
  FLAT_INLINE,
  FLAT_PLAIN,
  FT_BLOCK,
  FT_CHARACTER,
  FT_FIFO,
  FT_REGULAR,
  FT_SYMLINK,
  HOLE,
  INODE,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
} from './disk';
import { entry } from './entry';
import { ask, blocksOf, placed, placeInode, positionOf, putInode, takeBlocks } from './image';
import { refuse, setU32, u32at } from './memory';
import { isSparse, segmentLength, segmentOffset, segments } from './sparse';
import { newSymlink, Node, targetOf } from './tree';
import { encodeXattrs, putXattrs, xattrArea } from './xattrs';

let usesChunks: bool = false;

/** Whether the image needs a kernel that knows files of chunks. */
export function hasChunkedFiles(): bool {
  return usesChunks;
}

function finishInode(format: u16, mode: u32, size: u64, unit: u32, xattrs: i32): void {
  const inode = putInode(placed, format, mode, size, unit, xattrs);
  inode.uid = entry.uid;
  inode.gid = entry.gid;
  inode.mtime = entry.mtime;
  inode.mtimeNsec = entry.mtimeNsec;
  putXattrs(placed + INODE, xattrs);
}

function become(node: Node, fileType: u8, payload: u32): void {
  node.fileType = fileType;
  node.payload = payload;
  node.isLinked = false;
}

/** Whether the end of some content fits into the block of its inode. */
function fitsInline(area: i32, tail: i32): bool {
  return tail > 0 && INODE + area + tail <= BLOCK;
}

/** Whether the file that was made last has holes: copySegment() asks for its content. */
export let isChunked: bool = false;

/** A regular file. Its content comes next in the stream: whole blocks go where they will be, the rest behind the inode. */
export function makeFile(node: Node): void {
  const xattrs = encodeXattrs(true);
  const area = xattrArea(xattrs);
  isChunked = isSparse() && !(segments() == 1 && segmentLength(0) == entry.size);
  if (isChunked) {
    become(node, FT_REGULAR, makeChunks(area, xattrs));
    return;
  }
  const rest = <i32>(entry.size & (BLOCK - 1));
  const tail = fitsInline(area, rest) ? rest : 0;
  const whole = entry.size - tail;
  const slot = placeInode(INODE + area + tail);
  const first = takeBlocks(blocksOf(whole));
  finishInode(tail > 0 ? FLAT_INLINE : FLAT_PLAIN, S_IFREG | entry.mode, entry.size, whole > 0 ? first : 0, xattrs);
  if (whole > 0) ask(ACTION_COPY, 0, positionOf(first), <f64>whole);
  if (tail > 0) ask(ACTION_READ, placed + INODE + area, 0, tail);
  become(node, FT_REGULAR, slot);
}

const CHUNKS_MAX: u64 = 1 << 14;
const CHUNK_BITS_MAX = 31;
let chunkShift: u64 = 0;
let chunkMap: usize = 0;

/** A file with holes: a table of its chunks, which are as small as the table's bound allows. */
function makeChunks(area: i32, xattrs: i32): u32 {
  usesChunks = true;
  chunkShift = BLOCK_BITS;
  while (entry.size > CHUNKS_MAX << chunkShift) chunkShift++;
  if (chunkShift > <u64>(BLOCK_BITS + CHUNK_BITS_MAX)) refuse(REFUSED_IMAGE_TOO_LARGE);
  const chunks = <i32>((entry.size + ((<u64>1) << chunkShift) - 1) >> chunkShift);
  const slot = placeInode(INODE + area + 4 * chunks);
  chunkMap = placed + INODE + area;
  for (let i = 0; i < chunks; i++) setU32(chunkMap + 4 * i, HOLE);
  for (let i = 0; i < segments(); i++) fillChunks(segmentOffset(i), segmentLength(i));
  finishInode(CHUNK_BASED, S_IFREG | entry.mode, entry.size, <u32>(chunkShift - BLOCK_BITS), xattrs);
  return slot;
}

/** Chunks get their blocks in their order: what a segment covers lies side by side. */
function fillChunks(offset: u64, length: u64): void {
  if (length == 0) return;
  const last = <i32>((offset + length - 1) >> chunkShift);
  for (let i = <i32>(offset >> chunkShift); i <= last; i++) {
    if (u32at(chunkMap + 4 * i) != HOLE) continue;
    const left = entry.size - ((<u64>i) << chunkShift);
    setU32(chunkMap + 4 * i, takeBlocks(blocksOf(min(left, (<u64>1) << chunkShift))));
  }
}

/** Asks for the content of a segment of the file that makeFile() has made last. */
export function copySegment(index: i32): void {
  const length = segmentLength(index);
  if (length == 0) return;
  const offset = segmentOffset(index);
  const block = u32at(chunkMap + 4 * <i32>(offset >> chunkShift));
  const within = offset & (((<u64>1) << chunkShift) - 1);
  ask(ACTION_COPY, 0, positionOf(block) + <f64>within, <f64>length);
}

export function makeSymlink(node: Node): void {
  const xattrs = encodeXattrs(false);
  const area = xattrArea(xattrs);
  const isInline = fitsInline(area, entry.linkLength);
  const slot = placeInode(INODE + area + (isInline ? entry.linkLength : 0));
  const symlink = newSymlink(slot, entry.link, entry.linkLength);
  if (isInline) memory.copy(placed + INODE + area, entry.link, entry.linkLength);
  const first = isInline ? 0 : takeBlocks(1);
  finishInode(isInline ? FLAT_INLINE : FLAT_PLAIN, S_IFLNK | 0o777, entry.linkLength, first, xattrs);
  // The target in the tree stays where it is; the archive's own does not.
  if (!isInline) ask(ACTION_WRITE, targetOf(symlink), positionOf(first), entry.linkLength);
  become(node, FT_SYMLINK, <u32>changetype<usize>(symlink));
}

/** A device or FIFO. */
export function makeNode(node: Node): void {
  const isFifo = entry.type == 0x36;
  const isBlock = entry.type == 0x34;
  const xattrs = encodeXattrs(false);
  const slot = placeInode(INODE + xattrArea(xattrs));
  const major = <u32>entry.major;
  const minor = <u32>entry.minor;
  const device = isFifo ? 0 : (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
  finishInode(FLAT_PLAIN, (isFifo ? S_IFIFO : isBlock ? S_IFBLK : S_IFCHR) | entry.mode, 0, device, xattrs);
  become(node, isFifo ? FT_FIFO : isBlock ? FT_BLOCK : FT_CHARACTER, slot);
}
