// A header of tar: 512 bytes of ustar, GNU, star or Unix V7. Every number is checked: the archive comes from anywhere.
import { REFUSED_CHECKSUM, REFUSED_DEVICE, REFUSED_NUMBER_MALFORMED, REFUSED_NUMBER_TOO_LARGE } from './abi';
import { entry } from './entry';
import { allocate, isText, refuse, setU8, textLength, u64at, u8at } from './memory';

export const HEADER = 512;
/** Prefix, slash and name. */
const NAME_MAX = 155 + 1 + 100;
const ownName: usize = allocate(NAME_MAX);

/** Octal text, or base 256 where the first bit is set (GNU). */
export function headerNumber(field: usize, length: i32): i64 {
  const first = u8at(field);
  if (first & 0x80) {
    let value: i64 = <i64>(first & 0x3f) - (first & 0x40 ? 0x40 : 0);
    for (let i = 1; i < length; i++) {
      if ((value << 8) >> 8 != value) refuse(REFUSED_NUMBER_TOO_LARGE);
      value = (value << 8) | <i64>u8at(field + i);
    }
    return value;
  }
  let value: i64 = 0;
  let i = 0;
  while (i < length && u8at(field + i) == 0x20) i++;
  for (; i < length; i++) {
    const digit = u8at(field + i);
    if (digit == 0 || digit == 0x20) break;
    if (digit < 0x30 || digit > 0x37 || value >> 59 != 0) refuse(REFUSED_NUMBER_MALFORMED);
    value = (value << 3) | <i64>(digit - 0x30);
  }
  return value;
}

/** One that cannot be negative. */
export function headerSize(field: usize, length: i32): u64 {
  const value = headerNumber(field, length);
  if (value < 0) refuse(REFUSED_NUMBER_MALFORMED);
  return <u64>value;
}

function headerId(field: usize): u32 {
  const value = headerSize(field, 8);
  // The kernel's -1 stands for "as it is".
  if (value >= 0xffffffff) refuse(REFUSED_NUMBER_TOO_LARGE);
  return <u32>value;
}

/** The two blocks of zeros at the end begin with this. */
export function isZeroBlock(block: usize): bool {
  for (let i = 0; i < HEADER; i += 8) if (u64at(block + i) != 0) return false;
  return true;
}

export function checkHeader(block: usize): void {
  let sum: i64 = 0;
  let signedSum: i64 = 0; // Some old writers summed signed characters.
  for (let i = 0; i < HEADER; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : u8at(block + i);
    sum += byte;
    signedSum += <i64>(<i8>byte);
  }
  const wanted = headerNumber(block + 148, 8);
  if (wanted != sum && wanted != signedSum) refuse(REFUSED_CHECKSUM);
}

/** ustar's prefix, which GNU tar's header has something else in place of. */
function readName(block: usize): void {
  const isUstar = isText(block + 257, 6, 'ustar\0');
  const prefix = isUstar ? textLength(block + 345, 155) : 0;
  const length = textLength(block, 100);
  let at = ownName;
  if (prefix > 0) {
    memory.copy(at, block + 345, prefix);
    at += prefix;
    setU8(at++, 0x2f);
  }
  memory.copy(at, block, length);
  entry.name = ownName;
  entry.nameLength = <i32>(at - ownName) + length;
}

/** Fills `entry`. The block must stay as it is: the link's name lies in it. */
export function readHeader(block: usize): void {
  entry.type = u8at(block + 156) || 0x30;
  readName(block);
  entry.link = block + 157;
  entry.linkLength = textLength(block + 157, 100);
  entry.stored = headerSize(block + 124, 12);
  entry.size = entry.stored;
  entry.mode = <u32>headerNumber(block + 100, 8) & 0o7777;
  entry.uid = headerId(block + 108);
  entry.gid = headerId(block + 116);
  entry.mtime = headerNumber(block + 136, 12);
  entry.mtimeNsec = 0;
  entry.major = 0;
  entry.minor = 0;
  if (entry.type != 0x33 && entry.type != 0x34) return;
  entry.major = headerSize(block + 329, 8);
  entry.minor = headerSize(block + 337, 8);
  if (entry.major > 0xfff || entry.minor > 0xfffff) refuse(REFUSED_DEVICE);
}
