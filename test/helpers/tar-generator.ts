// Makes layers by chance: few names that meet often, every kind and dialect, and streams that are damaged.
import type { Random } from './random.ts';
import { canSay, type Dialect, dialects, type LayerEntry, writeChecksum, writeEntry } from './tar-dialects.ts';

const parts = ['a', 'b', 'c', 'dir', '.x', '-', 'Ü', 'a'.repeat(120), 'b'.repeat(255)];

function path(random: Random): string {
  const depth = 1 + random.below(3);
  const names = Array.from({ length: depth }, () =>
    random.oneIn(12) ? random.pick(parts) : random.pick(parts.slice(0, 4)),
  );
  if (random.oneIn(15)) names.splice(random.below(names.length), 0, random.pick(['..', '.', '', '../..']));
  return `${random.pick(['', '', './', '/', '../'])}${names.join('/')}`;
}

const sizes = [0, 1, 511, 512, 513, 4000, 4031, 4032, 4033, 4095, 4096, 4097, 8000, 12_288, 20_001];

function content(random: Random): Buffer {
  const size = random.oneIn(3) ? random.pick(sizes) : random.below(6000);
  return Buffer.alloc(size, `content ${random.below(1000)} `);
}

function segmentsOf(random: Random, size: number): [number, number][] {
  const segments: [number, number][] = [];
  for (let at = random.below(9000); at < size && segments.length < 40; ) {
    const length = 1 + random.below(Math.min(9000, size - at));
    segments.push([at, length]);
    at += length + random.below(random.oneIn(2) ? 600 : 20_000);
  }
  if (segments.length === 0 || random.oneIn(2)) segments.push([size, 0]);
  return segments;
}

function xattrsOf(random: Random): Record<string, string> {
  const all: [string, string][] = [
    ['user.one', 'v'.repeat(random.below(40))],
    ['user.two', ''],
    ['security.label', 'x'.repeat(random.pick([3, 500, 4000]))],
    ['user.overlay.redirect', 'no'],
    ['trusted.overlay.opaque', 'y'],
  ];
  return Object.fromEntries(all.filter(() => random.oneIn(2)));
}

/** `polite` ones hold nothing that GNU tar takes otherwise than a layer's reader: no "..", no whiteouts, no links as parents. */
export function randomEntry(random: Random, polite: boolean): LayerEntry {
  const type = random.pick(['0', '0', '0', '0', '5', '5', '2', '1', '3', '4', '6']);
  let name = path(random);
  if (polite) name = name.replace(/^\/|\.\.\/?/g, '') || 'a';
  else if (random.oneIn(10))
    name = `${name}/${random.pick(['.wh.a', '.wh.b', '.wh..wh..opq', '.wh.dir', '.wh..wh.plnk', '.wh.', '.wh...'])}`;
  if (type === '5' && random.oneIn(2)) name += '/';
  const links: Record<string, () => string> = {
    1: () => path(random),
    2: () => random.pick([path(random), '..', '.', '/', '../a', '/dir', 'l'.repeat(random.below(4000)), '']),
  };
  const entry: LayerEntry = {
    name,
    type,
    link: links[type]?.() ?? '',
    content: type === '0' ? content(random) : Buffer.alloc(0),
    mode: random.below(0o10000),
    uid: random.pick([0, 1000, 65_536, 4_000_000_000]),
    gid: random.pick([0, 33, 2_097_152]),
    mtime: BigInt(random.below(2_000_000_000)) * 1_000_000_000n,
    device: [random.below(4096), random.below(1_048_576)],
    xattrs: random.oneIn(4) ? xattrsOf(random) : {},
  };
  if (random.oneIn(3)) entry.mtime += BigInt(random.below(1_000_000_000));
  if (random.oneIn(10)) entry.mtime = -entry.mtime;
  if (type === '0' && random.oneIn(8)) {
    const whole = Buffer.alloc(random.pick([0, 5000, 40_960, 100_001, 300_000]));
    entry.segments = segmentsOf(random, whole.length);
    for (const [offset, length] of entry.segments) whole.fill(`data ${offset} `, offset, offset + length);
    entry.content = whole;
  }
  return entry;
}

export function encode(random: Random, entries: LayerEntry[]): Buffer {
  const written = entries.map((entry) => {
    const able = dialects.filter((dialect) => canSay(entry, dialect)) as Dialect[];
    return writeEntry(entry, random.pick(able));
  });
  const end = random.pick([Buffer.alloc(1024), Buffer.alloc(10_240), Buffer.alloc(0), Buffer.alloc(512)]);
  return Buffer.concat([...written, end]);
}

/** One to three faults: bits, whole blocks, the end. Half of the headers that are hit get a right checksum again. */
export function damage(random: Random, tar: Buffer): Buffer {
  let bytes: Buffer = Buffer.from(tar);
  for (let faults = 1 + random.below(3); faults > 0 && bytes.length > 512; faults--) {
    const block = 512 * random.below(Math.floor(bytes.length / 512));
    switch (random.below(5)) {
      case 0:
        bytes = bytes.subarray(0, random.below(bytes.length));
        break;
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, block), bytes.subarray(block + 512)]);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, block + 512), bytes.subarray(block)]);
        break;
      default: {
        const field = random.pick([random.below(512), 100, 124, 130, 136, 156, 157, 257, 345, 386, 482, 483, 329]);
        bytes[block + field] = random.pick([0, 0x20, 0x2f, 0x30, 0x37, 0x53, 0x80, 0xff, random.below(256)]);
        if (random.oneIn(2)) writeChecksum(bytes.subarray(block, block + 512));
      }
    }
  }
  return bytes;
}
