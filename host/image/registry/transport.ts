// HTTP as registries need it: redirects that take no secret along, time limits, proxies.
import { Agent as HttpAgent, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions as HttpsAgentOptions, request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GantryError } from '../../errors.ts';
import { trust } from './certificates.ts';
import { proxyAuthorization, proxyFor, tunnelAgent } from './proxy.ts';
import { trustsAnyCertificate } from './registry-settings.ts';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: IncomingMessage;
}

export interface Message {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  headers: Record<string, string>;
  /** Text, bytes, or what makes a stream of them, anew for each attempt; its length stands in the headers. */
  body?: string | Uint8Array | (() => AsyncIterable<Uint8Array>) | undefined;
}

export interface Transport {
  /** The answer's head; its body must be read or destroyed. Errors are those of Node. */
  send(url: URL, message: Message): Promise<Answer>;
  close(): void;
}

const REDIRECTS_MAX = 5;
/** A peer that is silent for so long is taken for gone. */
const SILENCE_MS = 60_000;

/** @param signal ends every request under way, and refuses more. */
export function createTransport(signal?: AbortSignal): Transport {
  const agents = new Map<string, HttpAgent>();
  const agentOf = ({ protocol, host }: URL, proxy: URL | undefined): HttpAgent => {
    const key = `${protocol}//${host}`;
    const known = agents.get(key);
    if (known !== undefined) return known;
    const secure = (): HttpsAgentOptions => ({
      keepAlive: true,
      ...trust(host),
      ...(trustsAnyCertificate(host) ? { rejectUnauthorized: false } : {}),
    });
    const agent =
      protocol !== 'https:'
        ? new HttpAgent({ keepAlive: true })
        : proxy === undefined
          ? new HttpsAgent(secure())
          : tunnelAgent(proxy, secure());
    agents.set(key, agent);
    return agent;
  };
  const sendOnce = (url: URL, { method = 'GET', headers, body }: Message): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const start = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const proxy = proxyFor(url);
      const plainProxy = proxy !== undefined && url.protocol === 'http:';
      const all = {
        'user-agent': 'gantry',
        ...headers,
        ...(plainProxy ? { host: url.host, ...proxyAuthorization(proxy) } : {}),
      };
      const common = { method, headers: all, ...(signal ? { signal } : {}) };
      const request = plainProxy
        ? httpRequest(proxy, { ...common, path: url.href, agent: agentOf(proxy, undefined) })
        : start(url, { ...common, agent: agentOf(url, proxy) });
      request.setTimeout(SILENCE_MS, () =>
        request.destroy(Object.assign(new Error(`no answer for ${SILENCE_MS / 1000} s`), { code: 'ETIMEDOUT' })),
      );
      request.once('error', reject);
      request.once('response', (answer) =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: answer }),
      );
      if (typeof body !== 'function') request.end(body);
      else
        pipeline(Readable.from(body(), { objectMode: false }), request).catch((error: Error) => request.destroy(error));
    });
  return {
    async send(url, message) {
      let { headers } = message;
      for (let at = url, redirects = 0; ; redirects++) {
        const answer = await sendOnce(at, { ...message, headers });
        const { location } = answer.headers;
        if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer;
        answer.body.destroy();
        if (redirects === REDIRECTS_MAX) throw new Error(`more than ${REDIRECTS_MAX} redirects`);
        const next = new URL(location, at);
        if (!/^https?:$/.test(next.protocol)) throw new Error(`a redirect to ${next.protocol}`);
        // The blobs of many registries lie elsewhere: what logs in here is not told there.
        if (next.host !== at.host || next.protocol !== at.protocol) {
          const { authorization: _secret, ...others } = headers;
          headers = others;
        }
        at = next;
      }
    },
    close() {
      for (const agent of agents.values()) agent.destroy();
    },
  };
}

/** The body of a GET of any address. @throws {GantryError} INVALID_ARGUMENT, REGISTRY_FAILED. */
export async function openUrl(address: string): Promise<AsyncIterable<Uint8Array>> {
  const failed = (reason: string, cause?: unknown): GantryError =>
    new GantryError('REGISTRY_FAILED', `Cannot download "${withoutPassword(address)}": ${reason}`, {
      hint: 'Check the address and the network; "-" reads the archive from standard input',
      cause,
    });
  if (!URL.canParse(address))
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the address "${withoutPassword(address)}"`);
  const transport = createTransport();
  const answer = await transport.send(new URL(address), { headers: {} }).catch((cause: NodeJS.ErrnoException) => {
    transport.close();
    throw failed(cause.code ?? cause.message, cause);
  });
  if (answer.status !== 200) {
    transport.close();
    throw failed(`the server answered ${answer.status}`);
  }
  answer.body.once('close', () => transport.close());
  return (async function* () {
    try {
      yield* answer.body as AsyncIterable<Uint8Array>;
    } catch (cause) {
      throw failed(`the connection ended in the middle (${(cause as NodeJS.ErrnoException).code})`, cause);
    }
  })();
}

/** An address as messages may show it. */
export function withoutPassword(address: string): string {
  return address.replace(/^(\w+:\/\/[^/?#@:]*):[^/?#@]*@/, '$1:…@');
}

/** Bytes of a body, no more than so many. */
export async function readBody(body: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > limit) throw new RangeError(`an answer of more than ${limit} bytes`);
  }
  return Buffer.concat(chunks);
}
