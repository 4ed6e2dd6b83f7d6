// HTTP as registries need it: redirects that take no secret along, time limits, certificates of certs.d.
import { readdirSync, readFileSync } from 'node:fs';
import { Agent as HttpAgent, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { GantryError } from '../errors.ts';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: IncomingMessage;
}

export interface Message {
  method?: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
}

export interface Transport {
  /** The answer's head; its body must be read or destroyed. Errors are those of Node. */
  send(url: URL, message: Message): Promise<Answer>;
  close(): void;
}

const REDIRECTS_MAX = 5;
/** A peer that is silent for so long is taken for gone. */
const SILENCE_MS = 60_000;

export function createTransport(): Transport {
  const agents = new Map<string, HttpAgent>();
  const agentOf = ({ protocol, host }: URL): HttpAgent => {
    const key = `${protocol}//${host}`;
    const known = agents.get(key);
    if (known !== undefined) return known;
    const agent =
      protocol === 'https:' ? new HttpsAgent({ keepAlive: true, ...trust(host) }) : new HttpAgent({ keepAlive: true });
    agents.set(key, agent);
    return agent;
  };
  const sendOnce = (url: URL, { method = 'GET', headers, body }: Message): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const start = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const request = start(url, { method, headers: { 'user-agent': 'gantry', ...headers }, agent: agentOf(url) });
      request.setTimeout(SILENCE_MS, () =>
        request.destroy(Object.assign(new Error(`no answer for ${SILENCE_MS / 1000} s`), { code: 'ETIMEDOUT' })),
      );
      request.once('error', reject);
      request.once('response', (answer) =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: answer }),
      );
      request.end(body);
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
    new GantryError('REGISTRY_FAILED', `Cannot download "${address}": ${reason}`, {
      hint: 'Check the address and the network; "-" reads the archive from standard input',
      cause,
    });
  if (!URL.canParse(address)) throw new GantryError('INVALID_ARGUMENT', `Cannot read the address "${address}"`);
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
  return answer.body;
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

/** Where docker and podman look, for "HOST" or "HOST:PORT": *.crt are authorities, NAME.cert and NAME.key log the client in. */
function certificateDirectories(host: string): string[] {
  const own = process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config');
  return ['/etc/docker', '/etc/containers', join(own, 'containers')].map((place) => join(place, 'certs.d', host));
}

export function hasCertificates(host: string): boolean {
  return certificateDirectories(host).some((directory) => filesOf(directory).length > 0);
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory).map((name) => join(directory, name));
  } catch {
    return [];
  }
}

const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
];

/** Node's own authorities, the system's and those of certs.d: what an administrator added to any of them counts. */
function trust(host: string): { ca: string[]; cert?: string; key?: string } {
  const files = certificateDirectories(host).flatMap(filesOf);
  const { SSL_CERT_FILE, NODE_EXTRA_CA_CERTS } = process.env;
  const bundles = SSL_CERT_FILE ? [SSL_CERT_FILE] : SYSTEM_BUNDLES;
  const read = (path: string): string[] => {
    try {
      return [readFileSync(path, 'utf8')];
    } catch {
      return [];
    }
  };
  const ca = [
    ...files.filter((path) => path.endsWith('.crt')),
    ...bundles,
    ...(NODE_EXTRA_CA_CERTS ? [NODE_EXTRA_CA_CERTS] : []),
  ];
  const certificate = files.find((path) => path.endsWith('.cert'));
  const key = certificate?.replace(/\.cert$/, '.key');
  return {
    ca: [...rootCertificates, ...ca.flatMap(read)],
    ...(certificate && key && files.includes(key)
      ? { cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
      : {}),
  };
}
