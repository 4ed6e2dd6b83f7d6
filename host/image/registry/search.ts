// Searching a registry by the first version of docker's index API, which only docker.io and a few others still have.
import { GantryError } from '../../errors.ts';
import { type Credentials, storedCredentials } from './credentials.ts';
import { createSession } from './registry-session.ts';
import { readBody } from './transport.ts';

export interface Found {
  name: string;
  description: string;
  stars: number;
  isOfficial: boolean;
}

const LIMIT_DEFAULT = 25;
const LIMIT_MAX = 100;
const ANSWER_MAX = 8 * 1024 * 1024;
const PUBLIC = 'index.docker.io';

/**
 * @param term words, behind "REGISTRY/" where another than docker.io is asked.
 * @param limit 0: as many as are usual.
 * @throws {GantryError} INVALID_ARGUMENT, AUTH_FAILED, REGISTRY_FAILED.
 */
export async function searchRegistry(term: string, limit: number, credentials?: Credentials): Promise<Found[]> {
  const wrong = (message: string): GantryError => new GantryError('INVALID_ARGUMENT', message);
  if (term.includes('://')) throw wrong(`Invalid repository name: repository name (${term}) should not have a scheme`);
  const count = limit === 0 ? LIMIT_DEFAULT : limit;
  if (!Number.isInteger(count) || count < 1 || count > LIMIT_MAX)
    throw wrong(`Limit ${limit} is outside the range of [1, ${LIMIT_MAX}]`);
  const { registry, words } = split(term);
  const known = credentials ?? (await storedCredentials(registry === PUBLIC ? 'docker.io' : registry));
  const session = createSession({ registry, repository: '' }, 'search', {
    credentials: known,
  });
  try {
    const address = new URL('/v1/search', session.base());
    address.search = String(new URLSearchParams({ q: words, n: String(count) }));
    const failed = (reason: string, hint?: string): GantryError =>
      new GantryError('REGISTRY_FAILED', `Cannot search "${registry}": ${reason}`, { hint });
    const answer = await session.request(address, {
      accept: [404, 405, 410, 501],
    });
    if (answer.status >= 400) {
      answer.body.resume();
      throw failed(
        `the registry cannot be searched (/v1/search answered ${answer.status})`,
        'Registries of today have no search; look at its web page',
      );
    }
    const text = (await readBody(answer.body, ANSWER_MAX)).toString();
    return resultsOf(text, failed);
  } finally {
    session.close();
  }
}

function split(term: string): { registry: string; words: string } {
  const slash = term.indexOf('/');
  const first = term.slice(0, Math.max(0, slash));
  const isHost = /[.:]/.test(first) || first === 'localhost';
  const [registry, words] = isHost ? [first, term.slice(slash + 1)] : [PUBLIC, term];
  const isPublic = registry === PUBLIC || registry === 'docker.io';
  return isPublic ? { registry: PUBLIC, words: words.replace(/^library\//, '') } : { registry, words };
}

function resultsOf(text: string, failed: (reason: string) => GantryError): Found[] {
  let results: unknown;
  try {
    ({ results } = JSON.parse(text) as { results: unknown });
  } catch {
    throw failed('its answer is not JSON');
  }
  if (!Array.isArray(results)) throw failed('its answer has no list of results');
  return (results as Record<string, unknown>[]).map((one) => ({
    name: String(one?.name ?? ''),
    description: String(one?.description ?? ''),
    stars: Number(one?.star_count ?? 0),
    isOfficial: one?.is_official === true,
  }));
}
