// How one logs in at a registry: a challenge → the value of the Authorization header (distribution-spec, token authentication).
import { setTimeout } from 'node:timers/promises';
import { GantryError } from '../../errors.ts';
import type { Credentials } from './credentials.ts';
import { readBody, type Transport } from './transport.ts';

const TOKEN_MAX = 1 << 20;

/** What is done with which repository, for messages. */
export interface Attempt {
  verb: 'pull' | 'push' | 'inspect' | 'search' | 'log in';
  /** "registry/repository". */
  name: string;
}

export function refused({ verb, name }: Attempt, credentials: Credentials | undefined): GantryError {
  const reason =
    credentials === undefined
      ? 'it wants a login'
      : credentials.identityToken === undefined
        ? `it refuses the login of "${credentials.username}"`
        : 'it refuses the stored identity token';
  if (verb === 'log in') return new GantryError('AUTH_FAILED', `Cannot log in to "${name}": unauthorized: ${reason}`);
  return new GantryError(
    'AUTH_FAILED',
    `Cannot ${verb} "${name}": ${verb !== 'push' ? `${verb} access denied` : 'denied: requested access to the resource is denied'}, ${reason}`,
    {
      hint: 'The repository may not exist or may be private; log in with "gantry login" for a private one',
    },
  );
}

/** @param challenge WWW-Authenticate (RFC 7235). @throws {GantryError} AUTH_FAILED, REGISTRY_FAILED. */
export async function authorize(
  transport: Transport,
  challenge: string,
  what: Attempt,
  /** What is wanted; the registry's own wish is taken where it asks for more. */
  scopes: string[],
  credentials?: Credentials,
): Promise<string> {
  const [registry = ''] = what.name.split('/');
  const basic = credentials && Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
  if (/^basic/i.test(challenge)) {
    if (basic === undefined) throw refused(what, credentials);
    return `Basic ${basic}`;
  }
  const { realm, service, scope } = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  ) as Record<string, string | undefined>;
  if (!/^bearer/i.test(challenge) || realm === undefined || !/^https?:\/\//.test(realm))
    throw new GantryError('REGISTRY_FAILED', `Cannot log in to "${registry}": unknown challenge "${challenge}"`);
  const url = new URL(realm);
  const asked = scope !== undefined && !scopes.some((one) => covers(one, scope)) ? [scope, ...scopes] : scopes;
  const parameters = new URLSearchParams(asked.map((one) => ['scope', one]));
  if (service !== undefined) parameters.set('service', service);
  const answer = await askAgain(() => ask(transport, url, parameters, basic, credentials?.identityToken)).catch(
    (cause: Error) => {
      throw new GantryError('REGISTRY_FAILED', `Cannot log in to "${registry}": ${url.host}: ${cause.message}`, {
        hint: 'That is where the registry lets log in; check the network',
        cause,
      });
    },
  );
  if ([400, 401, 403].includes(answer.status)) throw refused(what, credentials);
  if (answer.status === 429)
    throw new GantryError(
      'REGISTRY_FAILED',
      `Cannot log in to "${registry}": toomanyrequests: ${url.host} answered 429`,
      {
        hint: 'The registry limits how often one may log in: wait, or log in with "gantry login"',
      },
    );
  if (answer.status !== 200)
    throw new GantryError('REGISTRY_FAILED', `Cannot log in to "${registry}": ${url.host} answered ${answer.status}`, {
      hint: 'Try again later',
    });
  return `Bearer ${tokenOf(answer.text, what)}`;
}

/** "repository:a:pull,push" covers "repository:a:pull". */
function covers(have: string, wanted: string): boolean {
  const [a, b] = [have.split(':'), wanted.split(':')];
  const actions = a.at(-1)?.split(',') ?? [];
  return (
    a.slice(0, -1).join(':') === b.slice(0, -1).join(':') &&
    (b.at(-1) ?? '').split(',').every((one) => actions.includes(one))
  );
}

const ATTEMPTS = 3;

/** A token server that is busy, or out for a moment, is asked again. */
async function askAgain(once: () => ReturnType<typeof ask>): ReturnType<typeof ask> {
  for (let attempt = 1; ; attempt++) {
    const answer = await once().catch((error: NodeJS.ErrnoException) => {
      if (attempt >= ATTEMPTS || error.code !== 'ECONNRESET') throw error;
      return undefined;
    });
    const isBusy = answer === undefined || answer.status === 429 || answer.status >= 500;
    if (answer !== undefined && (!isBusy || attempt >= ATTEMPTS)) return answer;
    await setTimeout(250 * 2 ** attempt);
  }
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
    // The form takes one parameter: scopes stand beside each other in it (token authentication, OAuth2).
    const scope = parameters.getAll('scope').join(' ');
    const body = new URLSearchParams({ ...form, ...Object.fromEntries(parameters), scope }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) };
    const answer = await transport.send(url, { method: 'POST', headers, body });
    return { status: answer.status, text: (await readBody(answer.body, TOKEN_MAX)).toString() };
  }
  for (const [key, value] of parameters) url.searchParams.append(key, value);
  const answer = await transport.send(url, { headers: basic === undefined ? {} : { authorization: `Basic ${basic}` } });
  return { status: answer.status, text: (await readBody(answer.body, TOKEN_MAX)).toString() };
}

function tokenOf(text: string, { verb, name }: Attempt): string {
  try {
    const { token, access_token } = JSON.parse(text) as {
      token?: string;
      access_token?: string;
    };
    const found = token ?? access_token;
    if (found !== undefined) return found;
  } catch {
    // Told below.
  }
  throw new GantryError('AUTH_FAILED', `Cannot ${verb} "${name}": the token server sent no token`);
}
