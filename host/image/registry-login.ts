// How one logs in at a registry: a challenge → the value of the Authorization header (distribution-spec, token authentication).
import { GantryError } from '../errors.ts';
import type { Credentials } from './credentials.ts';
import type { Reference } from './reference.ts';
import { readBody, type Transport } from './transport.ts';

const TOKEN_MAX = 1 << 20;

export function refused(name: string, credentials: Credentials | undefined): GantryError {
  const reason =
    credentials === undefined
      ? 'it wants a login'
      : credentials.identityToken === undefined
        ? `it refuses the login of "${credentials.username}"`
        : 'it refuses the stored identity token';
  return new GantryError('AUTH_FAILED', `Cannot pull "${name}": pull access denied, ${reason}`, {
    hint: 'The repository may not exist or may be private; log in with "docker login" for a private one',
  });
}

/** @param challenge WWW-Authenticate (RFC 7235). @throws {GantryError} AUTH_FAILED, REGISTRY_FAILED. */
export async function authorize(
  transport: Transport,
  challenge: string,
  reference: Reference,
  credentials?: Credentials,
): Promise<string> {
  const name = `${reference.registry}/${reference.repository}`;
  const basic = credentials && Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
  if (/^basic/i.test(challenge)) {
    if (basic === undefined) throw refused(name, credentials);
    return `Basic ${basic}`;
  }
  const { realm, service, scope } = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  ) as Record<string, string | undefined>;
  if (!/^bearer/i.test(challenge) || realm === undefined || !/^https?:\/\//.test(realm))
    throw new GantryError(
      'REGISTRY_FAILED',
      `Cannot log in to "${reference.registry}": unknown challenge "${challenge}"`,
    );
  const url = new URL(realm);
  const parameters = new URLSearchParams({ scope: scope ?? `repository:${reference.repository}:pull` });
  if (service !== undefined) parameters.set('service', service);
  const answer = await ask(transport, url, parameters, basic, credentials?.identityToken).catch((cause: Error) => {
    throw new GantryError(
      'REGISTRY_FAILED',
      `Cannot log in to "${reference.registry}": ${url.host}: ${cause.message}`,
      {
        hint: 'That is where the registry lets log in; check the network',
        cause,
      },
    );
  });
  if ([400, 401, 403].includes(answer.status)) throw refused(name, credentials);
  if (answer.status !== 200)
    throw new GantryError(
      'REGISTRY_FAILED',
      `Cannot log in to "${reference.registry}": ${url.host} answered ${answer.status}`,
      {
        hint: 'Try again later',
      },
    );
  return `Bearer ${tokenOf(answer.text, name)}`;
}

async function ask(
  transport: Transport,
  url: URL,
  parameters: URLSearchParams,
  basic: string | undefined,
  identityToken: string | undefined,
): Promise<{ status: number; text: string }> {
  if (identityToken !== undefined) {
    const form = { grant_type: 'refresh_token', refresh_token: identityToken, client_id: 'gantry' };
    const body = new URLSearchParams({ ...form, ...Object.fromEntries(parameters) }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) };
    const answer = await transport.send(url, { method: 'POST', headers, body });
    return { status: answer.status, text: (await readBody(answer.body, TOKEN_MAX)).toString() };
  }
  for (const [key, value] of parameters) url.searchParams.set(key, value);
  const answer = await transport.send(url, { headers: basic === undefined ? {} : { authorization: `Basic ${basic}` } });
  return { status: answer.status, text: (await readBody(answer.body, TOKEN_MAX)).toString() };
}

function tokenOf(text: string, name: string): string {
  try {
    const { token, access_token } = JSON.parse(text) as { token?: string; access_token?: string };
    const found = token ?? access_token;
    if (found !== undefined) return found;
  } catch {
    // Told below.
  }
  throw new GantryError('AUTH_FAILED', `Cannot pull "${name}": the token server sent no token`);
}
