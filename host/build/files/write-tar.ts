// Writes entries as a tar: ustar, with PAX records where a field is too small. The same entries make the same bytes.
import { BLOCK, padding, type TarEntry, type TarType } from './read-tar.ts';

const flags: Record<TarType, string> = {
  file: '0',
  link: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

export const TAR_END = Buffer.alloc(2 * BLOCK);

export const tarPadding = (size: number): Buffer => Buffer.alloc(padding(size));

/** The blocks in front of an entry's content. */
export function tarHeader(entry: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const records: Buffer[] = [];
  const put = (at: number, length: number, value: string, key: string): void => {
    if (block.write(value, at, length) < Buffer.byteLength(value)) records.push(record(key, Buffer.from(value)));
  };
  const octal = (at: number, length: number, value: number, key: string): void => {
    const digits = value.toString(8);
    if (digits.length < length) block.write(digits.padStart(length - 1, '0'), at);
    else records.push(record(key, Buffer.from(String(value))));
  };
  put(0, 100, entry.type === 'directory' && !entry.name.endsWith('/') ? `${entry.name}/` : entry.name, 'path');
  put(157, 100, entry.link, 'linkpath');
  octal(100, 8, entry.mode, 'mode');
  octal(108, 8, entry.uid, 'uid');
  octal(116, 8, entry.gid, 'gid');
  octal(124, 12, entry.type === 'file' ? entry.size : 0, 'size');
  octal(136, 12, entry.mtime, 'mtime');
  octal(329, 8, entry.major, 'major');
  octal(337, 8, entry.minor, 'minor');
  const named = [...entry.xattrs].sort(([one], [other]) => (one < other ? -1 : 1));
  for (const [name, value] of named) records.push(record(`SCHILY.xattr.${name}`, value));
  finish(block, flags[entry.type]);
  if (records.length === 0) return block;
  const data = Buffer.concat(records);
  const extra = Buffer.alloc(BLOCK);
  extra.write('PaxHeaders/entry');
  for (const at of [100, 108, 116]) extra.write(at === 100 ? '0000644' : '0000000', at);
  extra.write(data.length.toString(8).padStart(11, '0'), 124);
  extra.write('00000000000', 136);
  finish(extra, 'x');
  return Buffer.concat([extra, data, tarPadding(data.length), block]);
}

function finish(block: Buffer, flag: string): void {
  block.write(flag, 156);
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

/** "LENGTH KEY=VALUE\n", the length being that of the whole. */
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.byteLength(key) + value.length + 3;
  let length = rest + 1;
  while (rest + String(length).length !== length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}
