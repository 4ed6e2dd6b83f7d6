// What the tests of hostile images share: a layer to build on, a load through the API, the images that are there.
import { existsSync, readFileSync } from 'node:fs';
import { engineCall } from './engine-call.ts';
import type { TarEntry } from './tar.ts';

const busybox = existsSync('/bin/busybox') ? readFileSync('/bin/busybox') : Buffer.alloc(0);

/** A shell and /etc. */
export const base: TarEntry[] = [
  { name: 'bin', type: '5', mode: 0o755 },
  { name: 'bin/sh', content: busybox, mode: 0o755 },
  { name: 'etc', type: '5', mode: 0o755 },
];

/** Out of any root. */
export const up = '../'.repeat(24);

/** Status as of the command line: 1 where the engine refuses it. */
export async function loadArchive(dataRoot: string, archive: Buffer): Promise<{ status: number; stderr: string }> {
  const { status, body } = await engineCall(dataRoot, 'POST', '/images/load?quiet=1', archive);
  const lines = body
    .toString()
    .split('\n')
    .filter((line) => line.trim() !== '');
  const failed = lines.map((line) => JSON.parse(line) as { message?: string; error?: string });
  const stderr = failed.map(({ message, error }) => message ?? error ?? '').join('');
  return { status: status >= 400 || stderr !== '' ? 1 : 0, stderr };
}

export async function imageIds(dataRoot: string): Promise<string[]> {
  const { body } = await engineCall(dataRoot, 'GET', '/images/json');
  return (JSON.parse(body.toString()) as { Id: string }[]).map(({ Id }) => Id);
}
