// Writes one entry in any dialect of tar: ustar, GNU's long names and base 256, pax with attributes, sparse files of each kind.

export interface LayerEntry {
  name: string;
  /** '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' directory, '6' FIFO. */
  type: string;
  link: string;
  /** Of a sparse file the whole, holes and all. */
  content: Buffer;
  mode: number;
  uid: number;
  gid: number;
  /** Nanoseconds since 1970. */
  mtime: bigint;
  device: [number, number];
  xattrs: Record<string, string>;
  /** Offset and length of what is not a hole. */
  segments?: [number, number][];
}

export const dialects = ['ustar', 'gnu', 'pax', 'pax-0.0', 'pax-0.1', 'pax-1.0'] as const;
export type Dialect = (typeof dialects)[number];

const BILLION = 1_000_000_000n;

/** Octal where it fits, else base 256. */
function number(block: Buffer, at: number, length: number, value: bigint): void {
  const text = value.toString(8);
  if (value >= 0n && text.length < length) {
    block.write(`${text.padStart(length - 1, '0')}\0`, at, 'latin1');
    return;
  }
  for (let i = length - 1, rest = value; i >= 0; i--, rest >>= 8n) block[at + i] = Number(rest & 0xffn);
  block[at]! |= 0x80;
}

export function writeChecksum(block: Buffer): void {
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

const padded = (content: Buffer): Buffer =>
  Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);

interface Header {
  name: Buffer;
  type: string;
  link?: Buffer;
  size?: number;
  entry?: LayerEntry;
  gnu?: boolean;
  prefix?: Buffer;
}

function header({ name, type, link = Buffer.alloc(0), size = 0, entry, gnu = false, prefix }: Header): Buffer {
  const block = Buffer.alloc(512);
  name.copy(block, 0, 0, 100);
  number(block, 100, 8, BigInt(entry?.mode ?? 0o644));
  number(block, 108, 8, BigInt(entry?.uid ?? 0));
  number(block, 116, 8, BigInt(entry?.gid ?? 0));
  number(block, 124, 12, BigInt(size));
  number(block, 136, 12, floorSeconds(entry?.mtime ?? 0n));
  block.write(type, 156, 'latin1');
  link.copy(block, 157, 0, 100);
  block.write(gnu ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1');
  number(block, 329, 8, BigInt(entry?.device[0] ?? 0));
  number(block, 337, 8, BigInt(entry?.device[1] ?? 0));
  if (prefix !== undefined) prefix.copy(block, 345, 0, 155);
  writeChecksum(block);
  return block;
}

function floorSeconds(time: bigint): bigint {
  const seconds = time / BILLION;
  return time < 0n && time % BILLION !== 0n ? seconds - 1n : seconds;
}

function record(key: string, value: string): Buffer {
  const body = Buffer.from(` ${key}=${value}\n`);
  let length = body.length + 1;
  while (`${length}`.length + body.length !== length) length = `${length}`.length + body.length;
  return Buffer.concat([Buffer.from(`${length}`), body]);
}

function decimalTime(time: bigint): string {
  const absolute = time < 0n ? -time : time;
  const fraction = (absolute % BILLION).toString().padStart(9, '0');
  return `${time < 0n ? '-' : ''}${absolute / BILLION}.${fraction}`;
}

/** Whether the entry can be written so. */
export function canSay(entry: LayerEntry, dialect: Dialect): boolean {
  if (dialect.startsWith('pax')) return (entry.segments !== undefined) === dialect.startsWith('pax-');
  if (entry.mtime % BILLION !== 0n || Object.keys(entry.xattrs).length > 0) return false;
  if (dialect === 'gnu') return entry.segments === undefined || entry.type === '0';
  return (
    entry.segments === undefined &&
    splitName(Buffer.from(entry.name)) !== undefined &&
    Buffer.byteLength(entry.link) <= 100
  );
}

/** Prefix and name of ustar. */
function splitName(name: Buffer): [Buffer, Buffer] | undefined {
  if (name.length <= 100) return [Buffer.alloc(0), name];
  const slash = name.indexOf('/', name.length - 101);
  if (slash <= 0 || slash > 155 || slash === name.length - 1) return undefined;
  return [name.subarray(0, slash), name.subarray(slash + 1)];
}

export function writeEntry(entry: LayerEntry, dialect: Dialect): Buffer {
  const name = Buffer.from(entry.name);
  const link = Buffer.from(entry.link);
  const isFile = entry.type === '0';
  if (dialect === 'ustar') {
    const [prefix, short] = splitName(name)!;
    const size = isFile ? entry.content.length : 0;
    return Buffer.concat([
      header({ name: short, prefix, link, type: entry.type, size, entry }),
      padded(isFile ? entry.content : Buffer.alloc(0)),
    ]);
  }
  if (dialect === 'gnu') return gnuEntry(entry, name, link);
  return paxEntry(entry, dialect);
}

function gnuEntry(entry: LayerEntry, name: Buffer, link: Buffer): Buffer {
  const parts: Buffer[] = [];
  const long = (type: string, text: Buffer): void => {
    parts.push(header({ name: Buffer.from('././@LongLink'), type, size: text.length + 1, gnu: true }));
    parts.push(padded(Buffer.concat([text, Buffer.alloc(1)])));
  };
  if (name.length > 100) long('L', name);
  if (link.length > 100) long('K', link);
  const segments = entry.segments;
  if (segments === undefined) {
    const content = entry.type === '0' ? entry.content : Buffer.alloc(0);
    parts.push(header({ name, link, type: entry.type, size: content.length, entry, gnu: true }), padded(content));
    return Buffer.concat(parts);
  }
  const data = dataOf(entry.content, segments);
  const block = header({ name, type: 'S', size: data.length, entry, gnu: true });
  const put = (target: Buffer, at: number, list: [number, number][]): void =>
    list.forEach(([offset, length], index) => {
      number(target, at + 24 * index, 12, BigInt(offset));
      number(target, at + 24 * index + 12, 12, BigInt(length));
    });
  put(block, 386, segments.slice(0, 4));
  block[482] = segments.length > 4 ? 1 : 0;
  number(block, 483, 12, BigInt(entry.content.length));
  writeChecksum(block);
  parts.push(block);
  for (let at = 4; at < segments.length; at += 21) {
    const extension = Buffer.alloc(512);
    put(extension, 0, segments.slice(at, at + 21));
    extension[504] = segments.length > at + 21 ? 1 : 0;
    parts.push(extension);
  }
  return Buffer.concat([...parts, padded(data)]);
}

const dataOf = (content: Buffer, segments: [number, number][]): Buffer =>
  Buffer.concat(segments.map(([offset, length]) => content.subarray(offset, offset + length)));

function paxEntry(entry: LayerEntry, dialect: Dialect): Buffer {
  const { segments, content } = entry;
  const records = [record('mtime', decimalTime(entry.mtime))];
  if (entry.link !== '') records.push(record('linkpath', entry.link));
  if (entry.uid > 0o7777777) records.push(record('uid', `${entry.uid}`));
  if (entry.gid > 0o7777777) records.push(record('gid', `${entry.gid}`));
  for (const [key, value] of Object.entries(entry.xattrs)) records.push(record(`SCHILY.xattr.${key}`, value));
  let data = entry.type === '0' ? content : Buffer.alloc(0);
  if (segments === undefined) records.push(record('path', entry.name));
  else {
    data = dataOf(content, segments);
    if (dialect === 'pax-1.0') {
      records.push(record('GNU.sparse.major', '1'), record('GNU.sparse.minor', '0'));
      records.push(record('GNU.sparse.name', entry.name), record('GNU.sparse.realsize', `${content.length}`));
      data = Buffer.concat([padded(Buffer.from(`${[segments.length, ...segments.flat()].join('\n')}\n`)), data]);
    } else {
      records.push(
        record('GNU.sparse.size', `${content.length}`),
        record('GNU.sparse.numblocks', `${segments.length}`),
      );
      if (dialect === 'pax-0.1')
        records.push(record('GNU.sparse.map', segments.flat().join(',')), record('GNU.sparse.name', entry.name));
      else
        records.push(
          record('path', entry.name),
          ...segments.flatMap(([offset, length]) => [
            record('GNU.sparse.offset', `${offset}`),
            record('GNU.sparse.numbytes', `${length}`),
          ]),
        );
    }
  }
  const extra = Buffer.concat(records);
  const plain = { ...entry, uid: Math.min(entry.uid, 0o7777777), gid: Math.min(entry.gid, 0o7777777) };
  return Buffer.concat([
    header({ name: Buffer.from('PaxHeaders/x'), type: 'x', size: extra.length }),
    padded(extra),
    header({ name: Buffer.from(entry.name).subarray(0, 100), type: entry.type, size: data.length, entry: plain }),
    padded(data),
  ]);
}
