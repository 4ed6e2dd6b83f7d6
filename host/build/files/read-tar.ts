// Reads a tar entry by entry (v7, ustar, GNU long names, PAX): names and attributes as bytes say them, for tar-stream would
// take the values of extended attributes for text.
import { GantryError } from '../../errors.ts';

export type TarType = 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

export interface TarEntry {
  /** As the archive has it; nothing is cleaned. */
  name: string;
  type: TarType;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content; 0 of anything but a file. */
  size: number;
  /** Whole seconds since the epoch. */
  mtime: number;
  /** Where a link leads; empty otherwise. */
  link: string;
  major: number;
  minor: number;
  /** By whole name, such as "security.capability". */
  xattrs: ReadonlyMap<string, Buffer>;
}

export const BLOCK = 512;
/** Names and attributes of one entry at most. */
const EXTRA_MAX = 1 << 20;

const types: Record<string, TarType> = {
  '\0': 'file',
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
};

export interface ReadEntry {
  entry: TarEntry;
  /** Of a file; what is not read of it is passed over. */
  content: () => AsyncGenerator<Uint8Array>;
}

/**
 * The entries in order. What follows the end of the archive is read, too, so that who sends it is not cut off.
 * @throws {GantryError} INVALID_ARCHIVE, `what` at the head of the sentence.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<ReadEntry> {
  const bytes = createBytes(source);
  const damaged = (reason: string): GantryError => new GantryError('INVALID_ARCHIVE', `${what}: ${reason}`);
  let extra: Extra = emptyExtra();
  let defaults: Record<string, Buffer> = {};
  for (;;) {
    const block = await bytes.take(BLOCK);
    if (block.length === 0) break;
    if (block.length < BLOCK) throw damaged('it is no whole tar archive');
    if (block.every((byte) => byte === 0)) break;
    if (!isSound(block)) throw damaged('it is no tar archive, or a damaged one');
    const type = String.fromCharCode(block[156]!);
    const size = number(block, 124, 12);
    if (!(size >= 0)) throw damaged('it has an entry of no known size');
    if ('xgLKNV'.includes(type)) {
      if (size > EXTRA_MAX) throw damaged('names and attributes of an entry exceed 1 MB');
      const data = await bytes.take(size);
      if (data.length < size) throw damaged('it is cut short');
      await bytes.skip(padding(size));
      if (type === 'x') extra.records = { ...extra.records, ...parseRecords(data) };
      else if (type === 'g') defaults = { ...defaults, ...parseRecords(data) };
      else if (type === 'L' || type === 'N') extra.name = text(data);
      else if (type === 'K') extra.link = text(data);
      continue;
    }
    const entry = entryOf(block, { ...extra, records: { ...defaults, ...extra.records } }, type, size, damaged);
    extra = emptyExtra();
    let left = entry.type === 'file' ? entry.size : 0;
    const rest = padding(left);
    yield {
      entry,
      content: async function* () {
        while (left > 0) {
          const part = await bytes.some(left);
          if (part.length === 0) throw damaged('it is cut short');
          left -= part.length;
          yield part;
        }
      },
    };
    if ((await bytes.skip(left + rest)) < left) throw damaged('it is cut short');
  }
  await bytes.drain();
}

interface Extra {
  name: string;
  link: string;
  records: Record<string, Buffer>;
}
const emptyExtra = (): Extra => ({ name: '', link: '', records: {} });

export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

function entryOf(
  block: Buffer,
  { name, link, records }: Extra,
  flag: string,
  fieldSize: number,
  damaged: (reason: string) => GantryError,
): TarEntry {
  const prefix = block.subarray(257, 263).toString('latin1') === 'ustar\0' ? text(block.subarray(345, 500)) : '';
  const own = text(block.subarray(0, 100));
  const whole = records.path?.toString() || name || (prefix ? `${prefix}/${own}` : own);
  if (flag === 'S' || Object.keys(records).some((key) => key.startsWith('GNU.sparse.')))
    throw damaged(`"${whole}" is a sparse file; archives with those are not read`);
  const type = flag === '0' || flag === '\0' ? (whole.endsWith('/') ? 'directory' : 'file') : types[flag];
  if (type === undefined) throw damaged(`"${whole}" is of the unknown type "${flag}"`);
  const pax = (key: string, other: number): number => (records[key] ? Number(records[key].toString()) : other);
  const size = pax('size', fieldSize);
  if (!(size >= 0)) throw damaged(`"${whole}" is of no known size`);
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of Object.entries(records))
    if (key.startsWith('SCHILY.xattr.')) xattrs.set(key.slice('SCHILY.xattr.'.length), value);
  return {
    name: whole,
    type,
    mode: number(block, 100, 8) & 0o7777,
    uid: pax('uid', number(block, 108, 8)),
    gid: pax('gid', number(block, 116, 8)),
    size: type === 'file' ? size : 0,
    mtime: Math.max(0, Math.floor(pax('mtime', number(block, 136, 12)))),
    link: records.linkpath?.toString() || link || text(block.subarray(157, 257)),
    major: number(block, 329, 8),
    minor: number(block, 337, 8),
    xattrs,
  };
}

function text(field: Buffer): string {
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? field.length : end).toString();
}

/** Octal digits, or a big-endian number behind a first byte of 0x80. */
function number(block: Buffer, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  if (field[0]! & 0x80) {
    let value = field[0]! & 0x7f;
    for (const byte of field.subarray(1)) value = value * 256 + byte;
    return field[0] === 0xff ? -1 : value;
  }
  const digits = text(field).trim();
  return digits === '' ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

function isSound(block: Buffer): boolean {
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += at >= 148 && at < 156 ? 0x20 : block[at]!;
  return sum === number(block, 148, 8);
}

/** "LENGTH KEY=VALUE\n" … */
function parseRecords(data: Buffer): Record<string, Buffer> {
  const records: Record<string, Buffer> = {};
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const length = Number(data.subarray(at, space).toString('latin1'));
    const equals = data.indexOf(0x3d, space);
    if (space < 0 || !(length > 0) || equals < 0) break;
    records[data.subarray(space + 1, equals).toString()] = data.subarray(equals + 1, at + length - 1);
    at += length;
  }
  return records;
}

interface Bytes {
  /** Exactly so many, or as many as are left. */
  take(count: number): Promise<Buffer>;
  /** At least one and at most so many; none at the end. */
  some(most: number): Promise<Buffer>;
  /** Returns how many there were. */
  skip(count: number): Promise<number>;
  drain(): Promise<void>;
}

function createBytes(source: AsyncIterable<Uint8Array>): Bytes {
  const chunks = source[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const { done, value } = await chunks.next();
    if (done) return false;
    const next = Buffer.from(value.buffer, value.byteOffset, value.length);
    held = held.length === 0 ? next : Buffer.concat([held, next]);
    return true;
  };
  const cut = (count: number): Buffer => {
    const part = held.subarray(0, count);
    held = held.subarray(part.length);
    return part;
  };
  return {
    async take(count) {
      while (held.length < count && (await more()));
      return cut(count);
    },
    async some(most) {
      while (held.length === 0 && (await more()));
      return cut(most);
    },
    async skip(count) {
      let left = count;
      while (left > 0) {
        if (held.length === 0 && !(await more())) break;
        left -= cut(left).length;
      }
      return count - left;
    },
    async drain() {
      for (let next = await chunks.next(); !next.done; next = await chunks.next());
    },
  };
}
