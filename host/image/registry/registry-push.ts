// The writing half of the distribution API: blobs in one piece or in parts, blobs taken over from a neighbour, manifests.
import type { IncomingHttpHeaders } from 'node:http';
import { GantryError } from '../../errors.ts';
import type { Reference } from '../reference.ts';
import type { Answer } from './transport.ts';
import { ATTEMPTS, createSession, pause, type SessionOptions } from './registry-session.ts';

export interface Blob {
  digest: string;
  size: number;
  /** Bytes from there on, up to but without the end. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
}

export interface Push {
  has(digest: string): Promise<boolean>;
  /** Takes a blob over from another repository of the registry; false where that is not granted. */
  mount(digest: string, from: string): Promise<boolean>;
  /** @param progress told how many bytes are sent. */
  upload(blob: Blob, progress: (sent: number) => void): Promise<void>;
  manifest(reference: string, bytes: Buffer, mediaType: string): Promise<void>;
  close(): void;
}

/** Larger blobs go in parts, so that a broken connection does not cost all of it. */
export const PART_BYTES = 64 * 1024 * 1024;

/** What stands before a registry and refuses large requests (413) is tried with parts as small as this. */
const LEAST_BYTES = 256 * 1024;

interface Upload {
  url: URL;
  /** Bytes that a part must have; 0: any. */
  least: number;
}

function statusOf(error: unknown): unknown {
  return error instanceof GantryError ? error.details?.status : undefined;
}

export function createPush(reference: Reference, options: SessionOptions, partBytes = PART_BYTES): Push {
  const session = createSession(reference, 'push', options);
  /** Upload that a refused mount has begun. */
  const begun = new Map<string, Upload>();
  /** Larger requests than this the registry, or what stands before it, has refused. */
  let mostBytes = partBytes;

  const locationOf = (headers: IncomingHttpHeaders, base?: URL): URL => {
    const { location } = headers;
    if (location === undefined)
      throw new GantryError(
        'REGISTRY_FAILED',
        `Cannot push "${session.name}": the registry tells no place to upload to`,
      );
    return new URL(location, base ?? session.base());
  };
  const uploadOf = ({ headers }: Answer): Upload => {
    const least = Number(headers['oci-chunk-min-length'] ?? 0);
    return { url: locationOf(headers), least: Number.isSafeInteger(least) ? least : 0 };
  };
  const begin = async (digest: string): Promise<Upload> => {
    const known = begun.get(digest);
    begun.delete(digest);
    if (known !== undefined) return known;
    const answer = await session.request('blobs/uploads/', { method: 'POST', headers: { 'content-length': '0' } });
    answer.body.resume();
    return uploadOf(answer);
  };
  const send = async (
    method: 'PUT' | 'PATCH',
    url: URL,
    blob: Blob,
    [start, end]: [number, number],
    progress: (sent: number) => void,
  ): Promise<IncomingHttpHeaders> => {
    const body = async function* (): AsyncGenerator<Uint8Array> {
      let sent = start;
      for await (const chunk of blob.read(start, end)) {
        yield chunk;
        sent += chunk.length;
        progress(sent);
      }
    };
    const answer = await session.requestOnce(url, {
      method,
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(end - start),
        ...(method === 'PATCH' ? { 'content-range': `${start}-${end - 1}` } : {}),
      },
      body,
    });
    answer.body.resume();
    return answer.headers;
  };
  const finish = (url: URL, digest: string): URL => {
    const last = new URL(url);
    last.searchParams.set('digest', digest);
    return last;
  };

  const whole = async (blob: Blob, progress: (sent: number) => void): Promise<void> => {
    const { url } = await begin(blob.digest);
    await send('PUT', finish(url, blob.digest), blob, [0, blob.size], progress);
  };

  /** How far the registry has got; undefined where the upload is gone. */
  const state = async (url: URL): Promise<{ at: number; next: URL } | undefined> => {
    const answer = await session.request(url, { accept: [404] });
    answer.body.resume();
    if (answer.status === 404) return undefined;
    const [, last] = /^(?:bytes=)?0-(\d+)$/.exec(String(answer.headers.range ?? '')) ?? [];
    // "0-0" is what registries say of an upload that has not begun, too.
    return { at: last === undefined || last === '0' ? 0 : Number(last) + 1, next: locationOf(answer.headers, url) };
  };
  const inParts = async (blob: Blob, progress: (sent: number) => void): Promise<void> => {
    let { url, least } = await begin(blob.digest);
    let failed = 0;
    for (let at = 0; at < blob.size; ) {
      try {
        // Only the last part may be smaller than the registry wants parts to be (OCI-Chunk-Min-Length).
        const end = Math.min(blob.size, at + Math.max(mostBytes, least));
        url = locationOf(await send('PATCH', url, blob, [at, end], progress), url);
        at = end;
        failed = 0;
      } catch (error) {
        // Out of step: it has another part of it than we think (distribution-spec, "pushing a blob in chunks").
        const isAstray = statusOf(error) === 416;
        if (++failed >= ATTEMPTS || !(session.isPassing(error) || isAstray)) throw error;
        await pause(250 * 2 ** failed);
        const found = await state(url);
        if (found === undefined) throw error; // Begun anew by who called.
        ({ at, next: url } = found);
      }
    }
    const headers = { 'content-length': '0' };
    const answer = await session.request(finish(url, blob.digest), { method: 'PUT', headers });
    answer.body.resume();
  };

  return {
    async has(digest) {
      const answer = await session.request(`blobs/${digest}`, { method: 'HEAD', accept: [404] });
      answer.body.resume();
      return answer.status === 200;
    },
    async mount(digest, from) {
      const query = new URLSearchParams({ mount: digest, from });
      const answer = await session.request(`blobs/uploads/?${query}`, {
        method: 'POST',
        headers: { 'content-length': '0' },
        accept: [403, 404, 405],
      });
      answer.body.resume();
      if (answer.status === 202) begun.set(digest, uploadOf(answer));
      return answer.status === 201;
    },
    async upload(blob, progress) {
      for (let attempt = 1; ; attempt++) {
        try {
          await (blob.size > mostBytes ? inParts : whole)(blob, progress);
          return;
        } catch (error) {
          if (statusOf(error) === 413 && mostBytes > LEAST_BYTES) {
            mostBytes = Math.max(LEAST_BYTES, Math.min(mostBytes, blob.size) >> 2);
            continue;
          }
          if (attempt >= ATTEMPTS || !session.isPassing(error)) throw session.explained(error);
          await pause(250 * 2 ** attempt);
        }
      }
    },
    async manifest(name, bytes, mediaType) {
      const headers = { 'content-type': mediaType, 'content-length': String(bytes.length) };
      const answer = await session.request(`manifests/${name}`, { method: 'PUT', headers, body: bytes });
      answer.body.resume();
    },
    close: () => session.close(),
  };
}
