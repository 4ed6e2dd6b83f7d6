// What a registry's failures mean to who pulls and pushes.
import { GantryError } from '../../errors.ts';
import type { Credentials } from './credentials.ts';
import { type Attempt, refused } from './registry-login.ts';
import { type Answer, readBody } from './transport.ts';

const ERROR_MAX = 1 << 16;

/** Nobody listens, nobody is called so, or nobody can tell who it is: waiting does not help. */
export function isHopeless({ code = '' }: NodeJS.ErrnoException): boolean {
  return (
    /^(ABORT_ERR|ECONNREFUSED|ENOTFOUND|EPROTO|ERR_SSL_WRONG_VERSION_NUMBER)$/.test(code) ||
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
      `Cannot ${verb} "${name}": the registry has no ${kind === 'blobs' ? `blob ${id}` : `manifest for "${id}"`}`,
      { hint: 'Check the spelling of name and tag' },
    );
  if (answer.status === 401 || answer.status === 403) return refused(what, credentials);
  return new GantryError(
    'REGISTRY_FAILED',
    `Cannot ${verb} "${name}": the registry answered ${answer.status}${said ? `: ${said}` : ''}`,
    {
      hint: answer.status === 429 ? 'The registry limits how often one may pull; wait, or log in' : 'Try again later',
    },
  );
}
