// The writer's memory: given out, never taken back, bounded. A refusal ends the instance, so nothing after it has to ask.
import { MEMORY_MAX, REFUSED_TOO_MANY_ENTRIES } from './abi';

let most: i32 = MEMORY_MAX;

/** For this image; to be called before anything else. */
export function limitMemory(bytes: i32): void {
  most = bytes;
}

let refusedCode: i32 = 0;

/** Ends this instance with a trap; the host asks for the code then. */
export function refuse(code: i32): void {
  refusedCode = code;
  unreachable();
}

export function refusal(): i32 {
  return refusedCode;
}

let taken: i32 = 0;

/** Zeroed memory of its own, 8-aligned. */
export function allocate(size: i32): usize {
  taken += size;
  if (taken > most) refuse(REFUSED_TOO_MANY_ENTRIES);
  const at = heap.alloc(size);
  memory.fill(at, 0, size);
  return at;
}

const CHUNK = 1 << 16;
let chunkAt: usize = 0;
let chunkEnd: usize = 0;

/** The same for small things, 8-aligned and side by side. */
export function allocateSmall(size: i32): usize {
  const rounded = (size + 7) & ~7;
  if (rounded > CHUNK >> 2) return allocate(rounded);
  if (chunkAt + rounded > chunkEnd) {
    chunkAt = allocate(CHUNK);
    chunkEnd = chunkAt + CHUNK;
  }
  const at = chunkAt;
  chunkAt += rounded;
  return at;
}

export function u8at(at: usize): u32 {
  return load<u8>(at);
}

export function setU8(at: usize, value: u32): void {
  store<u8>(at, <u8>value);
}

export function u32at(at: usize): u32 {
  return load<u32>(at);
}

export function setU32(at: usize, value: u32): void {
  store<u32>(at, value);
}

export function u64at(at: usize): u64 {
  return load<u64>(at);
}

export function setU64(at: usize, value: u64): void {
  store<u64>(at, value);
}

/** Bytes at `at` are `text`, which is ASCII. */
export function isText(at: usize, length: i32, text: string): bool {
  return length == text.length && startsWith(at, length, text);
}

export function startsWith(at: usize, length: i32, text: string): bool {
  if (length < text.length) return false;
  for (let i = 0; i < text.length; i++) if (u8at(at + i) != <u32>text.charCodeAt(i)) return false;
  return true;
}

/** Writes ASCII. */
export function putText(at: usize, text: string): void {
  for (let i = 0; i < text.length; i++) setU8(at + i, text.charCodeAt(i));
}

/** Length up to a NUL, at most `limit`. */
export function textLength(at: usize, limit: i32): i32 {
  let length = 0;
  while (length < limit && u8at(at + length) != 0) length++;
  return length;
}

/** Order of two names as EROFS wants them in a directory: by bytes, the shorter first. */
export function compareNames(a: usize, aLength: i32, b: usize, bLength: i32): i32 {
  const order = memory.compare(a, b, min(aLength, bLength));
  return order != 0 ? order : aLength - bLength;
}
