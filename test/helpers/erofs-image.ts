// Reads EROFS images, from the documentation of the format and not from the writer: whatever is not as it should be throws.

const BLOCK = 4096;
const SUPERBLOCK = 1024;

export type ErofsKind = 'file' | 'directory' | 'link' | 'character' | 'block' | 'fifo';

export interface ErofsFile {
  kind: ErofsKind;
  nid: number;
  mode: number;
  uid: number;
  gid: number;
  /** Nanoseconds since 1970. */
  mtime: bigint;
  links: number;
  size: number;
  /** As in st_rdev: major and minor. */
  device: [number, number];
  xattrs: Record<string, Buffer>;
  /** Of files; holes are zeros. */
  content(): Buffer;
  target: string;
}

const kindOfMode: Record<number, ErofsKind> = {
  8: 'file',
  4: 'directory',
  10: 'link',
  2: 'character',
  6: 'block',
  1: 'fifo',
};
const kindOfType: Record<number, ErofsKind> = {
  1: 'file',
  2: 'directory',
  3: 'character',
  4: 'block',
  5: 'fifo',
  7: 'link',
};
const prefixes: Record<number, string> = {
  1: 'user.',
  2: 'system.posix_acl_access',
  3: 'system.posix_acl_default',
  4: 'trusted.',
  6: 'security.',
};

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`The image is wrong: ${what}`);
}

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return crc >>> 0;
}

interface Raw extends ErofsFile {
  data(): Buffer;
}

export interface ErofsImage {
  uuid: string;
  /** Path → what is there; the root is "". Hard links are the same object. */
  files: Map<string, ErofsFile>;
}

/** @throws {Error} where anything about the image is not as the format wants it. */
export function readErofs(image: Buffer): ErofsImage {
  check(image.length % BLOCK === 0, 'it does not end with a block');
  const superblock = image.subarray(SUPERBLOCK, BLOCK);
  check(superblock.readUInt32LE(0) === 0xe0f5e1e2, 'magic');
  check(superblock[12] === 12, 'size of blocks');
  check(superblock.readUInt32LE(36) * BLOCK === image.length, 'number of blocks');
  check(superblock.readUInt32LE(40) === 0, 'place of the metadata');
  check((superblock.readUInt32LE(80) & ~4) === 0, 'features that a reader must know');
  const summed = Buffer.from(superblock);
  summed.writeUInt32LE(0, 4);
  check(crc32c(summed) === superblock.readUInt32LE(4), 'checksum');

  const at = (position: number, length: number): Buffer => {
    check(position >= 0 && position + length <= image.length, `${length} bytes at ${position}`);
    return image.subarray(position, position + length);
  };

  const inodes = new Map<number, Raw>();
  const readInode = (nid: number): Raw => {
    const known = inodes.get(nid);
    if (known !== undefined) return known;
    const start = nid * 32;
    const inode = at(start, 64);
    const format = inode.readUInt16LE(0);
    check((format & 1) === 1 && format >> 4 === 0, `format ${format} of node ${nid}`);
    const layout = (format >> 1) & 7;
    const count = inode.readUInt16LE(2);
    const xattrSize = count === 0 ? 0 : 12 + 4 * (count - 1);
    const mode = inode.readUInt16LE(4);
    const kind = kindOfMode[mode >> 12];
    check(kind !== undefined, `mode ${mode.toString(8)} of node ${nid}`);
    const size = Number(inode.readBigUInt64LE(8));
    const unit = inode.readUInt32LE(16);
    const isDevice = kind === 'character' || kind === 'block';
    const behind = start + 64 + xattrSize;
    const file: Raw = {
      kind,
      nid,
      mode: mode & 0o7777,
      uid: inode.readUInt32LE(24),
      gid: inode.readUInt32LE(28),
      mtime: inode.readBigInt64LE(32) * 1_000_000_000n + BigInt(inode.readUInt32LE(40)),
      links: inode.readUInt32LE(44),
      size,
      device: isDevice ? [(unit >> 8) & 0xfff, (unit & 0xff) | ((unit >>> 12) & ~0xff)] : [0, 0],
      xattrs: readXattrs(at(start + 64, xattrSize), nid),
      data: () => readData(layout, size, unit, behind, nid),
      content: () => (kind === 'file' ? file.data() : Buffer.alloc(0)),
      target: '',
    };
    check(inode.readUInt32LE(40) < 1_000_000_000, `nanoseconds of node ${nid}`);
    if (kind === 'link') {
      file.target = file.data().toString();
      check(layout !== 2 || (behind & (BLOCK - 1)) >= 64 + xattrSize, `the link of node ${nid} leaves its block`);
    }
    inodes.set(nid, file);
    return file;
  };

  const readData = (layout: number, size: number, unit: number, behind: number, nid: number): Buffer => {
    if (layout === 0) return at(unit * BLOCK, size);
    if (layout === 2) {
      const tail = size % BLOCK;
      check(tail > 0 && (behind % BLOCK) + tail <= BLOCK, `the end of node ${nid} leaves its block`);
      return Buffer.concat([at(unit * BLOCK, size - tail), at(behind, tail)]);
    }
    check(layout === 4 && unit < 32, `layout of node ${nid}`);
    const chunk = BLOCK * 2 ** unit;
    const data = Buffer.alloc(size);
    for (let i = 0; i * chunk < size; i++) {
      const block = at(behind + 4 * i, 4).readUInt32LE();
      const length = Math.min(chunk, size - i * chunk);
      if (block !== 0xffffffff) at(block * BLOCK, length).copy(data, i * chunk);
    }
    return data;
  };

  const files = new Map<string, ErofsFile>();
  const names = new Map<Raw, number>();
  const visit = (path: string, file: Raw, parent: Raw): void => {
    files.set(path, file);
    names.set(file, (names.get(file) ?? 0) + 1);
    if (file.kind !== 'directory') return;
    check(names.get(file) === 1, `${path} is a directory with two names`);
    const entries = readDirectory(file.data(), path);
    check(entries.find(({ name }) => name === '.')?.nid === file.nid, `"." of ${path}`);
    check(entries.find(({ name }) => name === '..')?.nid === parent.nid, `".." of ${path}`);
    let subdirectories = 0;
    for (const { name, nid, type } of entries) {
      if (name === '.' || name === '..') continue;
      const child = readInode(nid);
      check(kindOfType[type] === child.kind, `kind of ${path}/${name}`);
      if (child.kind === 'directory') subdirectories++;
      visit(path === '' ? name : `${path}/${name}`, child, file);
    }
    check(file.links === 2 + subdirectories, `number of links of ${path}`);
  };
  const root = readInode(superblock.readUInt16LE(14));
  visit('', root, root);
  for (const [file, count] of names)
    check(file.kind === 'directory' || file.links === count, `node ${file.nid} has ${count} names, not ${file.links}`);
  check(Number(superblock.readBigUInt64LE(16)) === names.size, 'number of inodes');
  return { uuid: superblock.subarray(48, 64).toString('hex'), files };
}

function readXattrs(area: Buffer, nid: number): Record<string, Buffer> {
  const found: Record<string, Buffer> = {};
  if (area.length > 0) check(area.length > 12 && area[4] === 0, `attributes of node ${nid}`);
  for (let at = 12; at < area.length; ) {
    const prefix = prefixes[area[at + 1]!];
    const nameEnd = at + 4 + area[at]!;
    const end = nameEnd + area.readUInt16LE(at + 2);
    check(prefix !== undefined && end <= area.length, `attributes of node ${nid}`);
    const name = `${prefix}${area.subarray(at + 4, nameEnd).toString()}`;
    check(!(name in found), `${name} is there twice at node ${nid}`);
    found[name] = area.subarray(nameEnd, end);
    at = (end + 3) & ~3;
  }
  return found;
}

function readDirectory(data: Buffer, path: string): { name: string; nid: number; type: number }[] {
  const entries: { name: string; nid: number; type: number }[] = [];
  let before: Buffer | undefined;
  for (let start = 0; start < data.length; start += BLOCK) {
    const block = data.subarray(start, start + BLOCK);
    const count = block.readUInt16LE(8) / 12;
    check(Number.isInteger(count) && count > 0, `number of names in ${path}`);
    for (let i = 0; i < count; i++) {
      const nameAt = block.readUInt16LE(12 * i + 8);
      const next = i + 1 < count ? block.readUInt16LE(12 * i + 20) : block.length;
      let name = block.subarray(nameAt, next);
      if (i + 1 === count && name.includes(0)) name = name.subarray(0, name.indexOf(0));
      check(name.length > 0 && name.length <= 255 && !name.includes(0) && !name.includes(0x2f), `a name in ${path}`);
      check(before === undefined || Buffer.compare(before, name) < 0, `order of names in ${path}`);
      before = name;
      entries.push({
        name: name.toString('latin1'),
        nid: Number(block.readBigUInt64LE(12 * i)),
        type: block[12 * i + 10]!,
      });
    }
  }
  return entries;
}
