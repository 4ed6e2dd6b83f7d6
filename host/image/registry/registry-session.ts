// Requests to one repository of a registry: logins, retries with growing pauses, http where it may be.
import { setTimeout } from 'node:timers/promises';
import { GantryError } from '../../errors.ts';
import type { Credentials } from './credentials.ts';
import type { Reference } from '../reference.ts';
import { endpointOf } from './registry-settings.ts';
import { bodyText, failure, isHopeless, retryAfter, unreachable } from './registry-errors.ts';
import { type Attempt, authorize, refused } from './registry-login.ts';
import { type Answer, createTransport, type Message } from './transport.ts';

export interface Ask extends Omit<Message, 'headers'> {
  headers?: Record<string, string>;
  /** Statuses beyond 2xx that the caller understands. */
  accept?: number[];
}

export interface Session {
  /** "registry/repository", for messages. */
  readonly name: string;
  readonly host: string;
  /** A path below the repository's, or an address that the registry gave. @throws {GantryError} AUTH_FAILED, IMAGE_NOT_FOUND, REGISTRY_FAILED. */
  request(path: string | URL, ask?: Ask): Promise<Answer>;
  /** The same, tried once; a failed connection is thrown as Node's error, a refusal as what it means. */
  requestOnce(path: string | URL, ask: Ask): Promise<Answer>;
  /** What a failed connection means. */
  unreachable(cause: Error): Error;
  /** Worth another try: a connection that broke, a registry that is busy. */
  isPassing(error: unknown): boolean;
  explained(error: unknown): unknown;
  /** Where addresses that the registry tells begin. */
  base(): URL;
  close(): void;
}

export const ATTEMPTS = 4;
/** As long a registry may ask one to wait before it is asked again. */
const PATIENCE_SECONDS = 30;

export interface SessionOptions {
  credentials?: Credentials | undefined;
  /** Another registry that is asked in its place. */
  mirror?: string | undefined;
  /** Other repositories that are read, too. */
  alsoRead?: string[];
  /** Gives up: what is under way, and the pauses between attempts. */
  signal?: AbortSignal | undefined;
}

export function createSession(reference: Reference, verb: Attempt['verb'], options: SessionOptions = {}): Session {
  const { credentials, mirror, alsoRead = [], signal } = options;
  const transport = createTransport(signal);
  const { host, mayBePlain, plainFirst } = endpointOf(mirror ?? reference.registry);
  const whole = verb === 'log in' || verb === 'search'; // Of the registry, of no repository.
  const name = whole ? reference.registry : `${reference.registry}/${reference.repository}`;
  const what: Attempt = { name, verb };
  const wanted = verb === 'push' ? 'pull,push' : 'pull';
  const scopes = whole
    ? verb === 'search'
      ? ['registry:catalog:search']
      : []
    : [`repository:${reference.repository}:${wanted}`, ...alsoRead.map((one) => `repository:${one}:pull`)];
  let authorization: string | undefined;
  let scheme = plainFirst ? 'http' : 'https';
  let settled = !mayBePlain;

  const addressOf = (path: string | URL): URL =>
    typeof path === 'string' ? new URL(`${scheme}://${host}/v2/${reference.repository}/${path}`) : path;

  const sendOnce = async (path: string | URL, { accept: _accept, ...message }: Ask): Promise<Answer> => {
    const url = addressOf(path);
    // What logs in here is not told to another host that uploads are sent to.
    const own = url.host === host && authorization !== undefined ? { authorization } : {};
    const headers = { ...message.headers, ...own };
    const answer = await transport.send(url, { ...message, headers }).catch((error: NodeJS.ErrnoException) => {
      const isOther = scheme === 'http' ? /^(ECONNRESET|EPIPE|HPE_)/ : /^(EPROTO|ERR_SSL|ECONNREFUSED|ECONNRESET)/;
      if (settled || !isOther.test(error.code ?? '')) throw error;
      return undefined;
    });
    const wantsOther =
      !settled && (answer === undefined || (answer.status === 400 && /HTTPS/.test(await bodyText(answer))));
    settled = true;
    if (!wantsOther && answer !== undefined) return answer;
    scheme = scheme === 'http' ? 'https' : 'http';
    return sendOnce(path, { accept: [], ...message });
  };

  const logIn = async ({ headers }: Answer): Promise<void> => {
    authorization = await authorize(transport, headers['www-authenticate'] ?? '', what, scopes, credentials);
  };

  return {
    name,
    host,
    async request(path, ask = {}) {
      for (let attempt = 1; ; attempt++) {
        const answer = await sendOnce(path, ask).catch((error: NodeJS.ErrnoException) => {
          if (attempt >= ATTEMPTS || isHopeless(error)) throw unreachable(name, host, error);
          return undefined;
        });
        if (
          answer !== undefined &&
          ((answer.status >= 200 && answer.status < 300) || ask.accept?.includes(answer.status))
        )
          return answer;
        if (answer?.status === 401 && attempt < ATTEMPTS) {
          answer.body.resume();
          if (authorization !== undefined && attempt > 2) throw refused(what, credentials);
          await logIn(answer);
          continue;
        }
        const worthAnotherTry = answer === undefined || answer.status === 429 || answer.status >= 500;
        const seconds = answer && retryAfter(answer);
        // Who is sent away for hours is told so at once.
        const isLong = seconds !== undefined && seconds > PATIENCE_SECONDS;
        if (answer !== undefined && (!worthAnotherTry || isLong || attempt >= ATTEMPTS))
          throw await failure(answer, what, String(path), credentials);
        answer?.body.resume();
        await pause(seconds === undefined ? 250 * 2 ** attempt : seconds * 1000, signal);
      }
    },
    async requestOnce(path, ask) {
      let answer = await sendOnce(path, ask);
      if (answer.status === 401 && answer.headers['www-authenticate'] !== undefined) {
        // A token that has run out while an upload went on.
        answer.body.resume();
        await logIn(answer);
        answer = await sendOnce(path, ask);
      }
      if (answer.status >= 200 && answer.status < 300) return answer;
      const known = await failure(answer, what, String(path), credentials);
      throw answer.status === 429 || answer.status >= 500 ? Object.assign(known, { passing: true }) : known;
    },
    isPassing: (error) =>
      error instanceof GantryError ? 'passing' in error : !isHopeless(error as NodeJS.ErrnoException),
    explained: (error) => (error instanceof GantryError ? error : unreachable(name, host, error as Error)),
    base: () => addressOf(''),
    unreachable: (cause) => unreachable(name, host, cause),
    close: () => transport.close(),
  };
}

/** @throws AbortError. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return setTimeout(milliseconds, undefined, signal ? { signal } : {});
}
