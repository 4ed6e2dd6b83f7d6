// What a registry's failures mean to who pulls and pushes.
import { GantryError } from '../../errors.ts';
import type { Credentials } from './credentials.ts';
import { type Attempt, refused } from './registry-login.ts';
import { type Answer, readBody } from './transport.ts';

const ERROR_MAX = 1 << 16;

/** Nobody listens, nobody is called so, a proxy refuses, or nobody can tell who it is: waiting does not help. */
export function isHopeless(error: NodeJS.ErrnoException): boolean {
  const { code = '' } = error;
  return (
    error instanceof GantryError ||
    /^(ABORT_ERR|ECONNREFUSED|ENOTFOUND|EPROTO|EPROXY|ERR_SSL_WRONG_VERSION_NUMBER)$/.test(code) ||
    isCertificateError(code) ||
    isClientRefused(code)
  );
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

export function unreachable(name: string, host: string, cause: NodeJS.ErrnoException): GantryError {
  // What the request was refused for before it was sent.
  if (cause instanceof GantryError) return cause;
  const { code = '', message } = cause;
  if (code.startsWith('EPROXY'))
    return new GantryError('REGISTRY_FAILED', `Cannot reach the registry of "${name}": ${message}`, {
      hint: 'Check HTTPS_PROXY and NO_PROXY of the engine; one that answers 407 wants a login: http://NAME:PASSWORD@HOST:PORT',
      cause,
    });
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
  if (/EPROTO|WRONG_VERSION_NUMBER/.test(code))
    return new GantryError('REGISTRY_FAILED', `Cannot reach the registry of "${name}": it does not speak TLS`, {
      hint: `If plain http is meant, let the engine serve with --insecure-registry ${host}`,
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

export function bodyText({ body }: Answer): Promise<string> {
  return readBody(body, ERROR_MAX).then(String, () => '');
}

/** Seconds as a registry tells them, by number or by date (RFC 9110); undefined: it tells nothing. */
export function retryAfter({ headers }: Answer): number | undefined {
  const text = headers['retry-after'];
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (!Number.isNaN(seconds)) return Math.max(0, seconds);
  const until = Date.parse(text);
  return Number.isNaN(until) ? undefined : Math.max(0, Math.ceil((until - Date.now()) / 1000));
}

export async function failure(
  answer: Answer,
  what: Attempt,
  path: string,
  credentials: Credentials | undefined,
): Promise<GantryError> {
  const { name, verb } = what;
  const said = /"message"\s*:\s*"([^"]*)"/.exec(await bodyText(answer))?.[1];
  const [kind, id] = path.split('/');
  if (answer.status === 404 && (verb === 'pull' || verb === 'inspect'))
    return new GantryError(
      'IMAGE_NOT_FOUND',
      `Cannot ${verb} "${name}": the registry has no ${
        kind === 'blobs' ? `blob ${id}` : kind === 'tags' ? 'such repository' : `manifest for "${id}"`
      }`,
      { hint: 'Check the spelling of name and tag' },
    );
  if (answer.status === 401 || answer.status === 403) return refused(what, credentials);
  if (answer.status === 429) return tooMany(answer, what, said, credentials);
  return new GantryError(
    'REGISTRY_FAILED',
    `Cannot ${verb} "${name}": the registry answered ${answer.status}${said ? `: ${said}` : ''}`,
    { hint: 'Try again later', details: { status: answer.status } },
  );
}

/** In docker's word, and with what the registry tells of its limit (Docker Hub: "ratelimit-limit: 100;w=21600"). */
function tooMany(
  answer: Answer,
  { name, verb }: Attempt,
  said: string | undefined,
  credentials: Credentials | undefined,
): GantryError {
  const [, count, seconds] = /^(\d+)(?:;w=(\d+))?$/.exec(String(answer.headers['ratelimit-limit'] ?? '')) ?? [];
  const limit = count === undefined ? '' : ` (${count}${seconds ? ` in ${duration(Number(seconds))}` : ''})`;
  const after = retryAfter(answer);
  const wait = after ? `wait ${duration(after)}` : 'wait';
  const reason = (said ?? 'the registry wants no more requests now').replace(/^toomanyrequests:\s*/i, '');
  return new GantryError('REGISTRY_FAILED', `Cannot ${verb} "${name}": toomanyrequests: ${reason}${limit}`, {
    hint: `The registry limits how often one may ${verb}: ${wait}${
      credentials === undefined ? ', or log in with "gantry login"' : ''
    }`,
    details: { status: 429 },
  });
}

function duration(seconds: number): string {
  const [size, unit] = seconds >= 7200 ? [3600, 'hours'] : seconds >= 120 ? [60, 'minutes'] : [1, 'seconds'];
  return `${Math.ceil(seconds / size)} ${unit}`;
}
