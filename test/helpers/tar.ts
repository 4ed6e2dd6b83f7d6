// Tar streams byte by byte, so that they can be as wrong as an attacker's, and image archives around them.
import { createHash } from 'node:crypto';

export interface TarEntry {
  name: string;
  /** '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' directory, '6' FIFO. */
  type?: string;
  link?: string;
  content?: string | Buffer;
  mode?: number;
  /** What the header claims, where that is not the truth. */
  size?: number;
  device?: [number, number];
}

const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;

function header({ name, type = '0', link = '', content = '', mode = 0o644, size, device = [0, 0] }: TarEntry): Buffer {
  const block = Buffer.alloc(512);
  block.write(name.slice(0, 100), 0);
  block.write(octal(mode, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size ?? Buffer.byteLength(content), 12), 124);
  block.write(octal(0, 12), 136);
  block.write(' '.repeat(8), 148);
  block.write(type, 156);
  block.write(link.slice(0, 100), 157);
  block.write('ustar\x0000', 257);
  block.write(octal(device[0], 8), 329);
  block.write(octal(device[1], 8), 337);
  block.write(
    `${octal(
      block.reduce((sum, byte) => sum + byte, 0),
      7,
    )} `,
    148,
  );
  return block;
}

const padded = (content: Buffer): Buffer =>
  Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);

function pax(key: string, value: string): Buffer {
  let length = key.length + Buffer.byteLength(value) + 3;
  while (`${length}`.length + key.length + Buffer.byteLength(value) + 3 !== length)
    length = `${length}`.length + key.length + Buffer.byteLength(value) + 3;
  const content = Buffer.from(`${length} ${key}=${value}\n`);
  return Buffer.concat([header({ name: 'pax', type: 'x', content: content.toString() }), padded(content)]);
}

export function makeTar(entries: TarEntry[]): Buffer {
  const parts = entries.flatMap((entry) => [
    ...(Buffer.byteLength(entry.name) > 100 ? [pax('path', entry.name)] : []),
    ...(Buffer.byteLength(entry.link ?? '') > 100 ? [pax('linkpath', entry.link!)] : []),
    header(entry),
    padded(Buffer.from(entry.content ?? '')),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export const sha256 = (bytes: Buffer | string): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** An image's configuration for plain layers. */
export function imageConfig(layers: Buffer[], config: object = {}): string {
  return JSON.stringify({
    architecture,
    os: 'linux',
    config: { Cmd: ['sh'], Env: ['PATH=/bin'], ...config },
    rootfs: { type: 'layers', diff_ids: layers.map(sha256) },
  });
}

/** A docker-archive. `stored` are the layers as they lie in it: compressed, or not what the configuration says. */
export function dockerArchive(layers: Buffer[], { config = {}, tag = 'evil:latest', stored = layers } = {}): Buffer {
  const names = stored.map((_layer, index) => `layer${index}.tar`);
  return makeTar([
    { name: 'config.json', content: imageConfig(layers, config) },
    ...stored.map((content, index) => ({ name: names[index]!, content })),
    { name: 'manifest.json', content: JSON.stringify([{ Config: 'config.json', RepoTags: [tag], Layers: names }]) },
  ]);
}

/** An OCI layout from an index and blobs, which are laid down under the digests that they are given. */
export function ociLayout(index: object, blobs: Record<string, string | Buffer>): Buffer {
  return makeTar([
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: JSON.stringify(index) },
    ...Object.entries(blobs).map(([digest, content]) => ({ name: `blobs/${digest.replace(':', '/')}`, content })),
  ]);
}
