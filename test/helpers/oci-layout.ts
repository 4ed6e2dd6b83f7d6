// Writes OCI image layouts (image-spec, image-layout.md): layers made of tars, configurations, manifests, indexes.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Not the synchronous kind: a test runner that hears nothing for a minute gives up. */
const execute = promisify(execFile);

export interface LayoutLayer {
  mediaType: string;
  digest: string;
  size: number;
  diffId: string;
}

export interface LayoutImage {
  architecture?: string;
  /** The "config" member of the image configuration, in the specification's spelling. */
  config: object;
  /** Lowest first. */
  layers: LayoutLayer[];
}

export interface Layout {
  directory: string;
  /** Takes the tar away from its place. */
  addLayer(tar: string, compression: 'gzip' | 'zstd' | 'none'): Promise<LayoutLayer>;
  /** One image is a manifest of its own; more make an index of platforms. */
  addImage(tag: string, ...images: LayoutImage[]): void;
}

const MEDIA = 'application/vnd.oci.image';
export const ownArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
export const otherArchitecture = process.arch === 'arm64' ? 'amd64' : 'arm64';

export async function fileDigest(path: string): Promise<string> {
  return `sha256:${(await execute('sha256sum', [path])).stdout.slice(0, 64)}`;
}

export function createLayout(directory: string): Layout {
  const blobs = join(directory, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const entries: object[] = [];

  const put = (value: object): { digest: string; size: number } => {
    const bytes = JSON.stringify(value);
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(blobs, hex), bytes);
    return { digest: `sha256:${hex}`, size: Buffer.byteLength(bytes) };
  };
  const putManifest = ({ architecture = ownArchitecture, config, layers }: LayoutImage): object => {
    const configuration = put({
      created: '2026-01-02T03:04:05Z',
      architecture,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    });
    const manifest = put({
      schemaVersion: 2,
      mediaType: `${MEDIA}.manifest.v1+json`,
      config: { mediaType: `${MEDIA}.config.v1+json`, ...configuration },
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    });
    return { mediaType: `${MEDIA}.manifest.v1+json`, ...manifest, platform: { os: 'linux', architecture } };
  };

  return {
    directory,
    async addLayer(tar, compression) {
      const diffId = await fileDigest(tar);
      const packed = compression === 'none' ? tar : `${tar}.packed`;
      if (compression === 'gzip') await execute('sh', ['-c', 'gzip -n -c "$1" > "$2"', 'sh', tar, packed]);
      if (compression === 'zstd') await execute('zstd', ['-q', '-T0', '-o', packed, tar]);
      const digest = await fileDigest(packed);
      const size = statSync(packed).size;
      renameSync(packed, join(blobs, digest.slice('sha256:'.length)));
      rmSync(tar, { force: true });
      const suffix = compression === 'none' ? '' : `+${compression}`;
      return { mediaType: `${MEDIA}.layer.v1.tar${suffix}`, digest, size, diffId };
    },
    addImage(tag, ...images) {
      const manifests = images.map(putManifest);
      const mediaType = `${MEDIA}.index.v1+json`;
      const [top = {}] =
        manifests.length === 1 ? manifests : [{ mediaType, ...put({ schemaVersion: 2, mediaType, manifests }) }];
      entries.push({ ...top, annotations: { 'org.opencontainers.image.ref.name': tag } });
      writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: entries }));
    },
  };
}

/** Bytes of a blob of a layout. */
export function readBlob(layout: Layout, digest: string): Buffer {
  return readFileSync(join(layout.directory, 'blobs/sha256', digest.slice('sha256:'.length)));
}
