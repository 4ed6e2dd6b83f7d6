// gantry/hello, the image that needs no network: one static program in one layer, made when it is first asked for.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GantryError } from '../errors.ts';
import type { ContentStore } from './content-store.ts';
import { digestOf } from './content-store.ts';
import { hostPlatform } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';
import type { Pulled } from './pull.ts';

export const HELLO = 'gantry/hello';

const CREATED = '2026-01-01T00:00:00Z';

/** Beside the bundle or, from source, in dist/ of the repository. */
const places = ['hello', '../hello', '../../dist/hello'];

export async function makeHello(content: ContentStore, layers: LayerStore): Promise<Pulled> {
  const platform = hostPlatform();
  const name = `hello-${platform.architecture === 'arm64' ? 'aarch64' : 'x86_64'}`;
  const here = dirname(fileURLToPath(import.meta.url));
  const path = places.map((place) => join(here, place, name)).find(existsSync);
  if (path === undefined)
    throw new GantryError('IMAGE_NOT_FOUND', `Cannot make the image "${HELLO}": its program was not built`, {
      hint: 'Build it with "npm run build"',
    });
  const tar = await helloLayer(await readFile(path));
  const diffId = digestOf(tar);
  if (!(await layers.has(diffId))) await layers.add(diffId, () => [tar] as unknown as AsyncIterable<Uint8Array>);
  await content.put(tar);
  const config = JSON.stringify({
    created: CREATED,
    architecture: platform.architecture,
    os: platform.os,
    config: { Cmd: ['/hello'], Env: ['PATH=/'], WorkingDir: '/', Labels: { 'org.opencontainers.image.title': HELLO } },
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: CREATED, created_by: 'gantry', comment: 'the embedded image' }],
  });
  const id = await content.put(Buffer.from(config));
  return { id, digest: id, layers: [{ blob: diffId, diffId }] };
}

async function helloLayer(program: Buffer): Promise<Buffer> {
  const { pack } = await import('tar-stream');
  const tar = pack();
  const mtime = new Date(CREATED);
  tar.entry({ name: 'tmp/', type: 'directory', mode: 0o1777, mtime });
  tar.entry({ name: 'etc/', type: 'directory', mode: 0o755, mtime });
  tar.entry(
    { name: 'etc/passwd', mode: 0o644, mtime },
    'root:x:0:0:root:/:/hello\nnobody:x:65534:65534:nobody:/:/hello\n',
  );
  tar.entry({ name: 'etc/group', mode: 0o644, mtime }, 'root:x:0:\nnogroup:x:65534:\n');
  tar.entry({ name: 'hello', mode: 0o755, mtime }, program);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
