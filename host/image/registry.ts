// A client of the OCI distribution API: manifests and blobs, with logins, retries and resumed downloads.
import { GantryError } from '../errors.ts';
import { MANIFEST_MAX } from './manifest.ts';
import type { Credentials } from './credentials.ts';
import type { Reference } from './reference.ts';
import { authorize, refused } from './registry-login.ts';
import { type Answer, createTransport, hasCertificates, readBody } from './transport.ts';

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
  close(): void;
}

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

const ATTEMPTS = 4;
const ERROR_MAX = 1 << 16;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/;

export function createRegistry(reference: Reference, credentials?: Credentials): Registry {
  const transport = createTransport();
  const host = reference.registry === 'docker.io' ? 'registry-1.docker.io' : reference.registry;
  const name = `${reference.registry}/${reference.repository}`;
  let authorization: string | undefined;
  // Plain http is spoken with loopback registries only, and there only until TLS is met.
  let scheme = LOOPBACK.test(host) && !hasCertificates(host) ? 'http' : 'https';
  let settled = scheme === 'https';

  const sendOnce = async (path: string, headers: Record<string, string>): Promise<Answer> => {
    const url = new URL(`${scheme}://${host}/v2/${reference.repository}/${path}`);
    const answer = await transport
      .send(url, { headers: { ...headers, ...(authorization ? { authorization } : {}) } })
      .catch((error: NodeJS.ErrnoException) => {
        if (settled || !/^(ECONNRESET|EPIPE|HPE_)/.test(error.code ?? '')) throw error;
        return undefined;
      });
    const wantsTls =
      !settled && (answer === undefined || (answer.status === 400 && /HTTPS/.test(await bodyText(answer))));
    settled = true;
    if (!wantsTls && answer !== undefined) return answer;
    scheme = 'https';
    return sendOnce(path, headers);
  };

  const request = async (path: string, headers: Record<string, string>): Promise<Answer> => {
    for (let attempt = 1; ; attempt++) {
      const answer = await sendOnce(path, headers).catch((error: NodeJS.ErrnoException) => {
        if (attempt >= ATTEMPTS || isHopeless(error)) throw unreachable(name, host, error);
        return undefined;
      });
      if (answer !== undefined && answer.status >= 200 && answer.status < 300) return answer;
      if (answer?.status === 401 && attempt < ATTEMPTS) {
        answer.body.resume();
        if (authorization !== undefined && attempt > 2) throw refused(name, credentials);
        authorization = await authorize(transport, answer.headers['www-authenticate'] ?? '', reference, credentials);
        continue;
      }
      const worthAnotherTry = answer === undefined || answer.status === 429 || answer.status >= 500;
      if (answer !== undefined && (!worthAnotherTry || attempt >= ATTEMPTS))
        throw await failure(answer, name, path, credentials);
      const wanted = Number(answer?.headers['retry-after'] ?? Number.NaN) * 1000;
      answer?.body.resume();
      await pause(Number.isNaN(wanted) ? 250 * 2 ** attempt : Math.min(wanted, 10_000));
    }
  };

  return {
    async manifest(wanted) {
      const { body, headers } = await request(`manifests/${wanted}`, { accept: ACCEPT });
      const bytes = await readBody(body, MANIFEST_MAX).catch((error) => {
        if (error instanceof RangeError)
          throw new GantryError(
            'INVALID_ARCHIVE',
            `Cannot pull "${name}": its manifest is larger than ${MANIFEST_MAX} bytes`,
          );
        throw unreachable(name, host, error);
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
          const answer = await request(`blobs/${digest}`, at > 0 ? { range: `bytes=${at}-` } : {});
          let skip = at > 0 && answer.status !== 206 ? at : 0;
          for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
            const fresh = skip >= chunk.length ? undefined : chunk.subarray(skip);
            skip = Math.max(0, skip - chunk.length);
            if (fresh === undefined) continue;
            at += fresh.length;
            if (at > size)
              throw new GantryError(
                'DIGEST_MISMATCH',
                `Cannot pull "${name}": the blob ${digest} is larger than ${size} bytes`,
              );
            yield fresh;
          }
          if (at === size) return;
          throw new Error(`the connection ended after ${at} of ${size} bytes`);
        } catch (cause) {
          // What was answered was tried again already; a cut connection is not hopeless as long as it brings something.
          if (cause instanceof GantryError) throw cause;
          if (at > before) attempt = 0;
          if (attempt >= ATTEMPTS) throw unreachable(name, host, cause as Error);
          await pause(100 * 2 ** attempt);
        }
      }
    },
    close: () => transport.close(),
  };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Nobody listens, nobody is called so, or nobody can tell who it is: waiting does not help. */
function isHopeless({ code = '' }: NodeJS.ErrnoException): boolean {
  return /^(ECONNREFUSED|ENOTFOUND)$/.test(code) || isCertificateError(code) || isClientRefused(code);
}

/** The registry's TLS alert about the certificate that we showed or did not show. */
function isClientRefused(code: string): boolean {
  return /ALERT_(BAD_CERTIFICATE|CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)/.test(code);
}

function isCertificateError(code: string): boolean {
  return /CERT|SELF_SIGNED|VERIFY_LEAF|ISSUER/.test(code) && !isClientRefused(code);
}

/** What the commonest failures mean. */
const failures: Record<string, string> = {
  ENOTFOUND: 'its host name is not known (ENOTFOUND)',
  EAI_AGAIN: 'its host name cannot be looked up now (EAI_AGAIN)',
  ECONNREFUSED: 'connection refused (ECONNREFUSED)',
};

function unreachable(name: string, host: string, cause: NodeJS.ErrnoException): GantryError {
  const { code = '', message } = cause;
  if (isClientRefused(code))
    return new GantryError(
      'AUTH_FAILED',
      `Cannot log in to the registry of "${name}": it wants a certificate of its client`,
      {
        hint: `Put client.cert and client.key into /etc/docker/certs.d/${host}/`,
        cause,
      },
    );
  if (isCertificateError(code))
    return new GantryError('REGISTRY_FAILED', `Cannot trust the registry of "${name}": ${message}`, {
      hint: `If it is yours, put the certificate of its authority into /etc/docker/certs.d/${host}/ca.crt`,
      cause,
    });
  return new GantryError(
    'REGISTRY_FAILED',
    `Cannot reach the registry of "${name}": ${failures[code] ?? (code || message)}`,
    {
      hint: 'Check the name of the registry and the network; an image can also be loaded from a file: gantry load -i FILE',
      cause,
    },
  );
}

function bodyText({ body }: Answer): Promise<string> {
  return readBody(body, ERROR_MAX).then(String, () => '');
}

async function failure(
  answer: Answer,
  name: string,
  path: string,
  credentials: Credentials | undefined,
): Promise<GantryError> {
  const said = /"message"\s*:\s*"([^"]*)"/.exec(await bodyText(answer))?.[1];
  const [kind, id] = path.split('/');
  if (answer.status === 404)
    return new GantryError(
      'IMAGE_NOT_FOUND',
      `Cannot pull "${name}": the registry has no ${kind === 'blobs' ? `blob ${id}` : `manifest for "${id}"`}`,
      { hint: 'Check the spelling of name and tag' },
    );
  if (answer.status === 401 || answer.status === 403) return refused(name, credentials);
  return new GantryError(
    'REGISTRY_FAILED',
    `Cannot pull "${name}": the registry answered ${answer.status}${said ? `: ${said}` : ''}`,
    {
      hint: answer.status === 429 ? 'The registry limits how often one may pull; wait, or log in' : 'Try again later',
    },
  );
}
