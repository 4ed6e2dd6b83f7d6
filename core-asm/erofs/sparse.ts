// Maps of sparse files: GNU tar's own headers, and its three ways to write them as attributes (0.0, 0.1, 1.0).
import { REFUSED_EXTRA_TOO_LONG, REFUSED_SPARSE } from './abi';
import { entry } from './entry';
import { headerSize, HEADER } from './header';
import { allocate, refuse, setU64, u64at, u8at } from './memory';

const SEGMENTS_MAX = 1 << 16;
/** Pairs of offset and length, in a table that is made when the first sparse file comes. */
let table: usize = 0;
let count: i32 = 0;
let sparse: bool = false;

export function clearSegments(): void {
  count = 0;
  sparse = false;
}

export function isSparse(): bool {
  return sparse;
}

export function segments(): i32 {
  return count;
}

export function segmentOffset(index: i32): u64 {
  return u64at(table + 16 * index);
}

export function segmentLength(index: i32): u64 {
  return u64at(table + 16 * index + 8);
}

export function markSparse(): void {
  sparse = true;
}

function addSegment(offset: u64, length: u64): void {
  if (table == 0) table = allocate(SEGMENTS_MAX * 16);
  if (count == SEGMENTS_MAX) refuse(REFUSED_EXTRA_TOO_LONG);
  setU64(table + 16 * count, offset);
  setU64(table + 16 * count + 8, length);
  count++;
}

let halfOffset: u64 = 0;
let isHalf: bool = false;

/** Numbers come one by one: offset, length, offset, length. */
export function addNumber(value: u64): void {
  if (isHalf) addSegment(halfOffset, value);
  else halfOffset = value;
  isHalf = !isHalf;
}

export function clearHalf(): void {
  isHalf = false;
}

/** Pairs of 12-byte fields; an empty one ends them. */
function addFields(at: usize, pairs: i32): void {
  for (let i = 0; i < pairs; i++, at += 24) {
    if (u8at(at + 12) == 0) return;
    addSegment(headerSize(at, 12), headerSize(at + 12, 12));
  }
}

/** A header of type 'S'; true where a block of more pairs follows. */
export function readOldHeader(block: usize): bool {
  clearSegments();
  markSparse();
  addFields(block + 386, 4);
  entry.size = headerSize(block + 483, 12);
  return u8at(block + 482) != 0;
}

export function readOldExtension(block: usize): bool {
  addFields(block, 21);
  return u8at(block + 504) != 0;
}

/** The map that stands before the content in version 1.0: numbers, each with a line end, padded to whole blocks. */
let expected: i64 = -1;
let number: u64 = 0;
let digits: i32 = 0;

export function beginMap(): void {
  expected = -1;
  number = 0;
  digits = 0;
  isHalf = false;
  clearSegments();
  markSparse();
}

/** Takes one block of it; true where the map goes on. */
export function readMapBlock(block: usize): bool {
  for (let i = 0; i < HEADER; i++) {
    const byte = u8at(block + i);
    if (byte == 0x0a && digits > 0) {
      if (expected < 0) {
        if (number > <u64>SEGMENTS_MAX) refuse(REFUSED_EXTRA_TOO_LONG);
        expected = 2 * <i64>number;
      } else {
        addNumber(number);
        expected--;
      }
      if (expected == 0) return false;
      number = 0;
      digits = 0;
    } else {
      if (byte < 0x30 || byte > 0x39 || ++digits > 18) refuse(REFUSED_SPARSE);
      number = 10 * number + (byte - 0x30);
    }
  }
  return true;
}

/** In order, apart, inside the file, and as long together as what the archive holds. */
export function checkSegments(): void {
  let end: u64 = 0;
  let total: u64 = 0;
  if (isHalf) refuse(REFUSED_SPARSE);
  for (let i = 0; i < count; i++) {
    const offset = segmentOffset(i);
    const length = segmentLength(i);
    if (offset < end || offset > entry.size || length > entry.size - offset) refuse(REFUSED_SPARSE);
    end = offset + length;
    total += length;
  }
  if (total != entry.stored) refuse(REFUSED_SPARSE);
}
