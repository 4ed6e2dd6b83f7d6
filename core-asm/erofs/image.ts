// Where things go in the image: data as it comes, inodes with the ends of their files in regions that are written when full.
import { ACTION_WRITE, REFUSED_IMAGE_TOO_LARGE } from './abi';
import { BLOCK, BLOCK_BITS, INODE, Inode, SLOT } from './disk';
import { allocate, refuse, setU32, u32at } from './memory';

/** Actions that the host is to do before anything else; see abi.ts. */
@unmanaged
class Action {
  position: f64;
  length: f64;
  kind: i32;
  pointer: i32;
}
const ACTION = 24;
const QUEUE = 8;
const queue: usize = allocate(ACTION * QUEUE);
let queued: i32 = 0;
let done: i32 = 0;
export let current: Action = changetype<Action>(queue);

export function ask(kind: i32, pointer: usize, position: f64, length: f64): void {
  const action = changetype<Action>(queue + ACTION * (queued++ & (QUEUE - 1)));
  action.kind = kind;
  action.pointer = <i32>pointer;
  action.position = position;
  action.length = length;
}

/** Makes the next action the current one; false where there is none. */
export function takeAction(): bool {
  if (done == queued) return false;
  current = changetype<Action>(queue + ACTION * (done++ & (QUEUE - 1)));
  return true;
}

/** The first block that is not given out. Block 0 has the superblock and the root's inode. */
let nextBlock: u64 = 1;

export function endBlock(): u32 {
  return <u32>nextBlock;
}

/** Blocks side by side; the number of the first. */
export function takeBlocks(count: u64): u32 {
  const first = nextBlock;
  // Block addresses have 32 bits, and all of them set stands for a hole.
  if (count > 0xfffffffe - first) refuse(REFUSED_IMAGE_TOO_LARGE);
  nextBlock += count;
  return <u32>first;
}

export function blocksOf(bytes: u64): u64 {
  return (bytes + BLOCK - 1) >> BLOCK_BITS;
}

export function positionOf(block: u32): f64 {
  return <f64>block * BLOCK;
}

/** A region: inodes of files that have come lately. Two take turns, for the host writes one while the other fills. */
const REGION_BLOCKS = 128;
const REGION = REGION_BLOCKS * BLOCK;
const SLOTS_PER_REGION = REGION / SLOT;
let region: usize = allocate(REGION);
let otherRegion: usize = allocate(REGION);
/** Bytes in use of each block; blocks before `firstRoomy` are full. */
const fill: usize = allocate(4 * REGION_BLOCKS);
let openBlocks: i32 = 0;
let firstRoomy: i32 = 0;

/** Where each region that is written begins, by its number. */
const BASES = 1 << 14;
const bases: usize = allocate(4 * BASES);
let regionNumber: i32 = 0;

function usedOf(block: i32): i32 {
  return u32at(fill + 4 * block);
}

/** Writes the region out, behind all that is there. */
export function closeRegion(): void {
  if (openBlocks == 0) return;
  if (regionNumber == BASES) refuse(REFUSED_IMAGE_TOO_LARGE);
  const first = takeBlocks(openBlocks);
  setU32(bases + 4 * regionNumber++, first);
  ask(ACTION_WRITE, region, positionOf(first), <f64>openBlocks * BLOCK);
  const full = region;
  region = otherRegion;
  otherRegion = full;
  memory.fill(region, 0, REGION);
  memory.fill(fill, 0, 4 * REGION_BLOCKS);
  openBlocks = 0;
  firstRoomy = 0;
}

/** Memory of the inode that placeInode() has made room for. */
export let placed: usize = 0;

/** Room for an inode and what stands behind it: within one block where it fits into one. Returns the inode's slot. */
export function placeInode(size: i32): u32 {
  const rounded = (size + SLOT - 1) & ~(SLOT - 1);
  const offset = rounded <= BLOCK ? findRoom(rounded) : findBlocks(rounded);
  placed = region + offset;
  return regionNumber * SLOTS_PER_REGION + offset / SLOT;
}

function findRoom(size: i32): i32 {
  for (let block = firstRoomy; block < openBlocks; block++) {
    const used = usedOf(block);
    if (BLOCK - used >= size) {
      setU32(fill + 4 * block, used + size);
      return block * BLOCK + used;
    }
    if (block == firstRoomy && BLOCK - used < INODE) firstRoomy++;
  }
  return findBlocks(size);
}

function findBlocks(size: i32): i32 {
  const count = (size + BLOCK - 1) / BLOCK;
  if (openBlocks + count > REGION_BLOCKS) closeRegion();
  const offset = openBlocks * BLOCK;
  for (let left = size; left > 0; left -= BLOCK) setU32(fill + 4 * openBlocks++, min(left, BLOCK));
  return offset;
}

/** Where the inode of a slot lies, in slots from the image's start: its node number. All regions must be closed. */
export function nidOf(slot: u32): u64 {
  const base = u32at(bases + 4 * (slot / SLOTS_PER_REGION));
  return <u64>base * (BLOCK / SLOT) + (slot % SLOTS_PER_REGION);
}

let inodes: u32 = 0;

/** Numbers for 32-bit stat(2) only; the kernel takes the node number. */
export function nextIno(): u32 {
  return ++inodes;
}

/** Fills an inode that lies in zeroed memory, but for its times and owner. `xattrLength` are the entries' bytes. */
export function putInode(at: usize, format: u16, mode: u32, size: u64, unit: u32, xattrLength: i32): Inode {
  const inode = changetype<Inode>(at);
  inode.format = format;
  // Units of four bytes behind the header, which counts as one.
  inode.xattrCount = xattrLength == 0 ? 0 : <u16>(1 + (xattrLength >> 2));
  inode.mode = <u16>mode;
  inode.size = size;
  inode.unit = unit;
  inode.ino = nextIno();
  inode.links = 1;
  return inode;
}
