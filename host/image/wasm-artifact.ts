// Modules of WebAssembly that registries hold as artifacts (CNCF's layout for them): an image whose program is the module.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GantryError } from '../errors.ts';
import type { ContentStore } from './content-store.ts';
import { emptyConfig, writeImageConfig } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';
import type { Descriptor, ManifestDocument } from './manifest.ts';
import { type Made, storeLayer } from './new-image.ts';

const CONFIGURATION = 'application/vnd.wasm.config.v0+json';
const MODULE = 'application/wasm';
const PROGRAM = 'app.wasm';

/** The blob that is the module; undefined where the manifest is of anything else. */
export function moduleOf({ config, layers }: Extract<ManifestDocument, { kind: 'image' }>): Descriptor | undefined {
  return config.mediaType === CONFIGURATION && layers.length === 1 && layers[0]?.mediaType === MODULE
    ? layers[0]
    : undefined;
}

/** @param config of the artifact: which WASI it is for. The same module makes the same image. */
export async function moduleImage(
  module: AsyncIterable<Uint8Array>,
  size: number,
  config: Buffer,
  content: ContentStore,
  layers: LayerStore,
): Promise<Made> {
  const { os, created } = readConfig(config);
  const { layer } = await storeLayer(tarOf(module, size), content, layers, { compress: false });
  const image = writeImageConfig({
    platform: { os, architecture: 'wasm' },
    created,
    diffIds: [layer.diffId],
    config: { ...emptyConfig(), entrypoint: [`/${PROGRAM}`] },
    history: [{ created, comment: 'Made of a module of WebAssembly' }],
  });
  return { id: await content.put(image), layers: [layer] };
}

function readConfig(bytes: Buffer): { os: string; created: string } {
  let read: { os?: unknown; created?: unknown };
  try {
    read = (JSON.parse(bytes.toString()) ?? {}) as typeof read;
  } catch (cause) {
    throw new GantryError('INVALID_ARCHIVE', 'Cannot read the configuration of the module: it is not JSON', { cause });
  }
  const { os, created } = read;
  return {
    os: typeof os === 'string' && os !== '' ? os : 'wasip1',
    created: typeof created === 'string' ? created : '1970-01-01T00:00:00Z',
  };
}

async function* tarOf(module: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const { pack } = await import('tar-stream');
  const archive = pack();
  const entry = archive.entry({ name: PROGRAM, size, mode: 0o644, mtime: new Date(0) });
  const filled = pipeline(Readable.from(module), entry).then(
    () => archive.finalize(),
    (error: Error) => archive.destroy(error),
  );
  yield* archive as AsyncIterable<Uint8Array>;
  await filled;
}
