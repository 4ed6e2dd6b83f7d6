// A client of the OCI distribution API: manifests and blobs, with resumed downloads.
import { GantryError } from '../../errors.ts';
import { MANIFEST_MAX } from '../manifest.ts';
import type { Reference } from '../reference.ts';
import { pagesOf } from './pages.ts';
import { type Referrer, referrersOf } from './referrers.ts';
import { ATTEMPTS, createSession, pause, type SessionOptions } from './registry-session.ts';
import { readBody } from './transport.ts';

export interface Manifest {
  bytes: Buffer;
  mediaType: string;
  /** Digest as the registry says it; the caller checks. */
  digest: string | undefined;
}

export interface Registry {
  /** @param reference tag or digest. */
  manifest(reference: string): Promise<Manifest>;
  /** Bytes of a blob; a broken connection is taken up again where it broke. */
  blob(digest: string, size: number): AsyncGenerator<Uint8Array>;
  /** Every tag of the repository, as the registry orders them. */
  tags(): Promise<string[]>;
  /** What refers to a manifest as its subject. @param artifactType "": any. */
  referrers(digest: string, artifactType: string): Promise<Referrer[]>;
  close(): void;
}

const TAGS_BYTES_MAX = 1024 * 1024;

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export function createRegistry(
  reference: Reference,
  options: SessionOptions = {},
  verb: 'pull' | 'inspect' = 'pull',
): Registry {
  const session = createSession(reference, verb, options);
  const { name } = session;
  return {
    async manifest(wanted) {
      const { body, headers } = await session.request(`manifests/${wanted}`, { headers: { accept: ACCEPT } });
      const bytes = await readBody(body, MANIFEST_MAX).catch((error) => {
        if (error instanceof RangeError)
          throw new GantryError(
            'INVALID_ARCHIVE',
            `Cannot ${verb} "${name}": its manifest is larger than ${MANIFEST_MAX} bytes`,
          );
        throw session.unreachable(error);
      });
      const digest = headers['docker-content-digest'];
      return {
        bytes,
        mediaType: (headers['content-type'] ?? '').split(';')[0]!.trim(),
        digest: typeof digest === 'string' ? digest : undefined,
      };
    },
    async *blob(digest, size) {
      let at = 0;
      for (let attempt = 1; ; attempt++) {
        const before = at;
        try {
          const answer = await session.request(`blobs/${digest}`, { headers: at > 0 ? { range: `bytes=${at}-` } : {} });
          let skip = at > 0 && answer.status !== 206 ? at : 0;
          for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
            const fresh = skip >= chunk.length ? undefined : chunk.subarray(skip);
            skip = Math.max(0, skip - chunk.length);
            if (fresh === undefined) continue;
            at += fresh.length;
            if (at > size)
              throw new GantryError(
                'DIGEST_MISMATCH',
                `Cannot ${verb} "${name}": the blob ${digest} is larger than ${size} bytes`,
              );
            yield fresh;
          }
          if (at === size) return;
          throw new Error(`the connection ended after ${at} of ${size} bytes`);
        } catch (cause) {
          // What was answered was tried again already; a cut connection is not hopeless as long as it brings something.
          if (cause instanceof GantryError) throw cause;
          if (at > before) attempt = 0;
          if (attempt >= ATTEMPTS) throw session.unreachable(cause as Error);
          await pause(100 * 2 ** attempt, options.signal);
        }
      }
    },
    async tags() {
      const found: string[] = [];
      for await (const { bytes } of pagesOf(session, 'tags/list?n=1000', TAGS_BYTES_MAX))
        found.push(...tagsOf(bytes, name));
      return [...new Set(found)];
    },
    referrers: (digest, artifactType) => referrersOf(session, digest, artifactType),
    close: () => session.close(),
  };
}

function tagsOf(bytes: Buffer, name: string): string[] {
  const wrong = (cause?: unknown): GantryError =>
    new GantryError('REGISTRY_FAILED', `Cannot list the tags of "${name}": the answer is no list of tags`, { cause });
  let tags: unknown;
  try {
    tags = (JSON.parse(bytes.toString()) as { tags?: unknown } | null)?.tags ?? [];
  } catch (cause) {
    throw wrong(cause);
  }
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string' && /^\w[\w.-]{0,127}$/.test(tag)))
    throw wrong();
  return tags as string[];
}
