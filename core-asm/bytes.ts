// Byte buffers over linear memory: with json.ts the only file that loads and stores.

/** Bytes that somebody else owns. */
export class Bytes {
  constructor(
    public pointer: usize,
    public length: i32,
  ) {}

  static none(): Bytes {
    return new Bytes(0, 0);
  }

  u8(offset: i32): u8 {
    return load<u8>(this.pointer + offset);
  }

  u32(offset: i32): u32 {
    return load<u32>(this.pointer + offset);
  }
}

/** Grows as it is written; little-endian. */
export class ByteWriter {
  pointer: usize;
  length: i32 = 0;
  private capacity: i32;

  constructor(capacity: i32 = 256) {
    this.pointer = heap.alloc(capacity);
    this.capacity = capacity;
  }

  private reserve(more: i32): usize {
    const needed = this.length + more;
    if (needed > this.capacity) {
      let capacity = this.capacity * 2;
      while (capacity < needed) capacity *= 2;
      const grown = heap.alloc(capacity);
      memory.copy(grown, this.pointer, this.length);
      this.pointer = grown;
      this.capacity = capacity;
    }
    const at = this.pointer + this.length;
    this.length = needed;
    return at;
  }

  u8(value: u32): void {
    store<u8>(this.reserve(1), <u8>value);
  }

  u16(value: u32): void {
    store<u16>(this.reserve(2), <u16>value);
  }

  u32(value: u32): void {
    store<u32>(this.reserve(4), value);
  }

  u64(value: u64): void {
    store<u64>(this.reserve(8), value);
  }

  /** Network byte order. */
  u16be(value: u32): void {
    store<u16>(this.reserve(2), bswap<u16>(<u16>value));
  }

  /** Network byte order. */
  u32be(value: u32): void {
    store<u32>(this.reserve(4), bswap<u32>(value));
  }

  zeros(count: i32): void {
    memory.fill(this.reserve(count), 0, count);
  }

  /** Zeros up to a multiple of `alignment` of the length so far. */
  align(alignment: i32): void {
    const rest = this.length % alignment;
    if (rest > 0) this.zeros(alignment - rest);
  }

  copy(source: usize, length: i32): void {
    if (length > 0) memory.copy(this.reserve(length), source, length);
  }

  bytes(source: Bytes): void {
    this.copy(source.pointer, source.length);
  }

  writer(source: ByteWriter): void {
    this.copy(source.pointer, source.length);
  }

  /** UTF-8 without a terminator. */
  text(value: string): void {
    const length = String.UTF8.byteLength(value);
    if (length == 0) return;
    const at = this.reserve(length);
    String.UTF8.encodeUnsafe(changetype<usize>(value), value.length, at);
  }

  /** UTF-8 and a NUL. */
  cstring(value: string): void {
    this.text(value);
    this.u8(0);
  }

  setU8(offset: i32, value: u32): void {
    store<u8>(this.pointer + offset, <u8>value);
  }

  setU64(offset: i32, value: u64): void {
    store<u64>(this.pointer + offset, value);
  }

  setU16(offset: i32, value: u32): void {
    store<u16>(this.pointer + offset, <u16>value);
  }

  setU32(offset: i32, value: u32): void {
    store<u32>(this.pointer + offset, value);
  }

  view(): Bytes {
    return new Bytes(this.pointer, this.length);
  }
}

/** FNV-1a over pairs of characters: paths are long, and differ at their ends. */
export function hashText(text: string): i32 {
  const at = changetype<usize>(text);
  const size = text.length << 1;
  let value: u32 = 0x811c9dc5 ^ size;
  let done = 0;
  for (; done + 4 <= size; done += 4) value = (value ^ load<u32>(at + done)) * 0x01000193;
  if (done < size) value = (value ^ load<u16>(at + done)) * 0x01000193;
  return <i32>(value ^ (value >>> 15));
}
