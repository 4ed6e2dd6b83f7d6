// A client of the OCI distribution API: manifests and blobs, with token authentication and resumed downloads.
import { GantryError } from '../errors.ts';
import type { Credentials } from './credentials.ts';
import type { Reference } from './reference.ts';

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
}

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

const ATTEMPTS = 4;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/;

/** Plain http is spoken with loopback registries only. */
export function registryUrl(registry: string): string {
  if (LOOPBACK.test(registry)) return `http://${registry}`;
  return `https://${registry === 'docker.io' ? 'registry-1.docker.io' : registry}`;
}

export function createRegistry(reference: Reference, credentials?: Credentials): Registry {
  const base = `${registryUrl(reference.registry)}/v2/${reference.repository}`;
  const name = `${reference.registry}/${reference.repository}`;
  let authorization: string | undefined;

  const request = async (url: string, headers: Record<string, string>): Promise<Response> => {
    for (let attempt = 1; ; attempt++) {
      const answer = await send(url, { ...headers, ...(authorization ? { authorization } : {}) }, name).catch(
        (error) => {
          if (attempt >= ATTEMPTS) throw error;
          return undefined;
        },
      );
      if (answer?.ok) return answer;
      if (answer?.status === 401 && attempt < ATTEMPTS) {
        await answer.body?.cancel();
        const challenge = answer.headers.get('www-authenticate') ?? '';
        if (authorization !== undefined && attempt > 2) throw refused(name, credentials);
        authorization = await authorize(challenge, reference, credentials);
        continue;
      }
      if (answer !== undefined && !(answer.status === 429 || answer.status >= 500))
        throw await failure(answer, name, url, credentials);
      if (attempt >= ATTEMPTS) throw await failure(answer!, name, url, credentials);
      const wait = Number(answer?.headers.get('retry-after') ?? 0) * 1000 || 250 * 2 ** attempt;
      await answer?.body?.cancel();
      await new Promise((resolve) => setTimeout(resolve, Math.min(wait, 10_000)));
    }
  };

  return {
    async manifest(wanted) {
      const answer = await request(`${base}/manifests/${wanted}`, { accept: ACCEPT });
      return {
        bytes: Buffer.from(await answer.arrayBuffer()),
        mediaType: (answer.headers.get('content-type') ?? '').split(';')[0]!.trim(),
        digest: answer.headers.get('docker-content-digest') ?? undefined,
      };
    },
    async *blob(digest, size) {
      let at = 0;
      for (let attempt = 1; at < size || size === 0; attempt++) {
        try {
          const answer = await request(`${base}/blobs/${digest}`, at > 0 ? { range: `bytes=${at}-` } : {});
          let skip = at > 0 && answer.status !== 206 ? at : 0;
          for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
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
          if (cause instanceof GantryError && cause.code !== 'REGISTRY_FAILED') throw cause;
          if (attempt >= ATTEMPTS) throw cause instanceof GantryError ? cause : unreachable(name, cause);
        }
      }
    },
  };
}

async function send(url: string, headers: Record<string, string>, name: string): Promise<Response> {
  try {
    return await fetch(url, { headers: { ...headers, 'user-agent': 'gantry' } });
  } catch (cause) {
    throw unreachable(name, cause);
  }
}

function unreachable(name: string, cause: unknown): GantryError {
  const inner = (cause as { cause?: NodeJS.ErrnoException }).cause;
  const reason = inner?.code ?? inner?.message ?? (cause as Error).message;
  return new GantryError('REGISTRY_FAILED', `Cannot reach the registry of "${name}": ${reason}`, {
    hint: 'Check the name of the registry and the network; an image can also be loaded from a file: gantry load -i FILE',
    cause,
  });
}

function refused(name: string, credentials: Credentials | undefined): GantryError {
  const reason = credentials === undefined ? 'it wants a login' : `it refuses the login of "${credentials.username}"`;
  return new GantryError('AUTH_FAILED', `Cannot pull "${name}": pull access denied, ${reason}`, {
    hint: 'The repository may not exist or may be private; log in with "docker login" for a private one',
  });
}

async function failure(
  answer: Response,
  name: string,
  url: string,
  credentials: Credentials | undefined,
): Promise<GantryError> {
  const text = await answer.text().catch(() => '');
  if (answer.status === 404)
    return new GantryError('IMAGE_NOT_FOUND', `Cannot pull "${name}": the registry has no ${what(url)}`, {
      hint: 'Check the spelling of name and tag',
    });
  if (answer.status === 401 || answer.status === 403) return refused(name, credentials);
  const said = /"message"\s*:\s*"([^"]*)"/.exec(text)?.[1];
  return new GantryError(
    'REGISTRY_FAILED',
    `Cannot pull "${name}": the registry answered ${answer.status}${said ? `: ${said}` : ''}`,
    {
      hint: answer.status === 429 ? 'The registry limits how often one may pull; wait, or log in' : 'Try again later',
    },
  );
}

function what(url: string): string {
  const [, kind, id] = /\/(manifests|blobs)\/(.+)$/.exec(url) ?? [];
  return kind === 'blobs' ? `blob ${id}` : `manifest for "${id}"`;
}

/** RFC 7235 challenge → the value of the Authorization header. */
async function authorize(challenge: string, reference: Reference, credentials?: Credentials): Promise<string> {
  const basic = credentials && Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
  if (/^basic/i.test(challenge)) {
    if (basic === undefined) throw refused(`${reference.registry}/${reference.repository}`, credentials);
    return `Basic ${basic}`;
  }
  const parameters = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  );
  if (!/^bearer/i.test(challenge) || parameters.realm === undefined)
    throw new GantryError(
      'REGISTRY_FAILED',
      `Cannot log in to "${reference.registry}": unknown challenge "${challenge}"`,
    );
  const url = new URL(parameters.realm);
  const name = `${reference.registry}/${reference.repository}`;
  const scope = parameters.scope ?? `repository:${reference.repository}:pull`;
  const token =
    credentials?.identityToken === undefined
      ? await tokenByGet(url, parameters.service, scope, basic, name)
      : await tokenByPost(url, parameters.service, scope, credentials.identityToken, name);
  return `Bearer ${token}`;
}

async function tokenByGet(
  url: URL,
  service: string | undefined,
  scope: string,
  basic: string | undefined,
  name: string,
): Promise<string> {
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope);
  return tokenOf(await send(url.href, basic === undefined ? {} : { authorization: `Basic ${basic}` }, name), name);
}

async function tokenByPost(
  url: URL,
  service: string | undefined,
  scope: string,
  refresh: string,
  name: string,
): Promise<string> {
  const body = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: refresh,
    scope,
    service: service ?? '',
    client_id: 'gantry',
  });
  try {
    return await tokenOf(await fetch(url, { method: 'POST', body }), name);
  } catch (cause) {
    if (cause instanceof GantryError) throw cause;
    throw unreachable(name, cause);
  }
}

async function tokenOf(answer: Response, name: string): Promise<string> {
  if (!answer.ok) throw refused(name, undefined);
  const { token, access_token } = (await answer.json()) as { token?: string; access_token?: string };
  const found = token ?? access_token;
  if (found === undefined)
    throw new GantryError('AUTH_FAILED', `Cannot pull "${name}": the token server sent no token`);
  return found;
}
