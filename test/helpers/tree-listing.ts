// A tree as text, one line a name: kind, mode, owner, size, time, links, device, target, content and attributes.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { join, relative } from 'node:path';

const kinds: [string, (info: BigIntStats) => boolean][] = [
  ['file', (info) => info.isFile()],
  ['directory', (info) => info.isDirectory()],
  ['link', (info) => info.isSymbolicLink()],
  ['character', (info) => info.isCharacterDevice()],
  ['block', (info) => info.isBlockDevice()],
  ['fifo', (info) => info.isFIFO()],
];

const xattrNames = '^(user|security|system|trusted)\\.';

/** Path → "name=hex" of each attribute, sorted. */
function attributesOf(root: string): Map<string, string> {
  const text = execFileSync(
    'getfattr',
    ['-R', '-P', '-h', '-d', '-e', 'hex', '--absolute-names', '-m', xattrNames, root],
    {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    },
  );
  const found = new Map<string, string>();
  for (const part of text.split('\n\n')) {
    const [first = '', ...lines] = part.split('\n').filter(Boolean);
    const path = first
      .slice('# file: '.length)
      .replace(/\\(\d{3})/g, (_all, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (lines.length > 0) found.set(Buffer.from(path, 'latin1').toString(), lines.sort().join(' '));
  }
  return found;
}

/** One for all files: they are read one after the other. */
const buffer = Buffer.alloc(1 << 20);

function digestOf(path: string): string {
  const hash = createHash('sha256');
  const fd = openSync(path, 'r');
  try {
    for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer)) hash.update(buffer.subarray(0, got));
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex').slice(0, 16);
}

export interface ListingOptions {
  /** Paths whose times are not compared: those that the archive says nothing about. */
  timeless?: (path: string) => boolean;
}

/** Lines in the order of their paths, which are relative; the root is ".". */
export function listTree(root: string, { timeless = () => false }: ListingOptions = {}): string[] {
  const lines: string[] = [];
  const attributes = attributesOf(root);
  /** device:inode → the first name that it was met under. */
  const firstNames = new Map<string, string>();
  const visit = (path: string): void => {
    const info = lstatSync(path, { bigint: true });
    const name = relative(root, path) || '.';
    const kind = kinds.find(([, is]) => is(info))?.[0] ?? 'unknown';
    const words = [
      JSON.stringify(name),
      kind,
      (info.mode & 0o7777n).toString(8),
      `${info.uid}:${info.gid}`,
      timeless(name) ? '-' : `${info.mtimeNs}`,
    ];
    if (kind === 'file') words.push(`${info.size}`, digestOf(path));
    if (kind === 'link') words.push(JSON.stringify(readlinkSync(path)));
    if (kind === 'character' || kind === 'block') words.push(`device ${info.rdev}`);
    if (kind !== 'directory' && info.nlink > 1n) {
      const key = `${info.dev}:${info.ino}`;
      if (!firstNames.has(key)) firstNames.set(key, name);
      words.push(`${info.nlink} links, first ${JSON.stringify(firstNames.get(key))}`);
    }
    words.push(attributes.get(path) ?? '');
    lines.push(words.join(' '));
    if (kind === 'directory') for (const child of readdirSync(path).sort()) visit(join(path, child));
  };
  visit(root);
  return lines;
}
