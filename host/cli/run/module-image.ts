// A module of WebAssembly that lies here, made an image in the engine: the file is what `run` was given in an image's place.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { Api } from '../../client/api.ts';
import { GantryError } from '../../errors.ts';

const CREATED = '1970-01-01T00:00:00Z';

export function isModuleFile(image: string): boolean {
  return image.endsWith('.wasm') && statSync(image, { throwIfNoEntry: false })?.isFile() === true;
}

/** Resolves to the image's ID: the same file is the same image, which has no name. */
export async function loadModule(api: Api, path: string): Promise<string> {
  const layer = await tar([['app.wasm', readFileSync(path)]]);
  const config = Buffer.from(
    JSON.stringify({
      ...{ architecture: 'wasm', os: 'wasi', created: CREATED, config: { Entrypoint: ['/app.wasm'] } },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
      history: [{ created: CREATED, comment: 'Made of a module of WebAssembly' }],
    }),
  );
  const manifest = Buffer.from(JSON.stringify([{ Config: 'config.json', RepoTags: [], Layers: ['layer.tar'] }]));
  const archive = await tar([
    ['manifest.json', manifest],
    ['config.json', config],
    ['layer.tar', layer],
  ]);
  const answer = await api.open('POST', '/images/load', {
    stream: Readable.from([archive]),
    headers: { 'content-type': 'application/x-tar' },
    query: { quiet: 1 },
  });
  let told = '';
  for await (const chunk of answer) told += chunk;
  const failure = /"error":("(?:[^"\\]|\\.)*")/.exec(told)?.[1];
  if (failure !== undefined) throw new GantryError('INVALID_ARCHIVE', `Cannot run "${path}": ${JSON.parse(failure)}`);
  return `sha256:${sha256(config)}`;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function tar(files: [name: string, content: Buffer][]): Promise<Buffer> {
  const { pack } = await import('tar-stream');
  const archive = pack();
  for (const [name, content] of files) archive.entry({ name, mode: 0o644, mtime: new Date(0) }, content);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
