// HTTP_PROXY, HTTPS_PROXY and NO_PROXY, by the rules that docker's programs follow (Go's httpproxy).
import { request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions, request as httpsRequest } from 'node:https';
import { type ConnectionOptions, connect } from 'node:tls';
import { GantryError } from '../../errors.ts';

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** The proxy that a request goes through; undefined: none. @throws {GantryError} INVALID_ARGUMENT where the variable is no address. */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv = process.env): URL | undefined {
  const names = url.protocol === 'https:' ? ['HTTPS_PROXY', 'https_proxy'] : ['HTTP_PROXY', 'http_proxy'];
  const text = names.map((name) => env[name]).find(Boolean);
  if (text === undefined || LOOPBACK.test(url.hostname) || isExcepted(url, env.NO_PROXY || env.no_proxy || ''))
    return undefined;
  const address = /^\w+:\/\//.test(text) ? text : `http://${text}`;
  const proxy = URL.canParse(address) ? new URL(address) : undefined;
  if (proxy !== undefined && /^https?:$/.test(proxy.protocol)) return proxy;
  throw new GantryError(
    'INVALID_ARGUMENT',
    `Cannot use the proxy of ${names[0]}: it is no http:// or https:// address`,
  );
}

/** "*", "host", "host:port", ".domain" and "domain" (and what is below it). */
function isExcepted({ hostname, port, protocol }: URL, list: string): boolean {
  const own = port || (protocol === 'https:' ? '443' : '80');
  return list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true;
      const [, name = '', wanted] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (wanted !== undefined && wanted !== own) return false;
      const bare = name.replace(/^\*?\./, '');
      return hostname.endsWith(`.${bare}`) || (hostname === bare && !name.startsWith('.'));
    });
}

export function proxyAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(login).toString('base64')}` };
}

/** Connections that the proxy only passes on (CONNECT): it sees names and amounts, no content. */
export function tunnelAgent(proxy: URL, options: AgentOptions): HttpsAgent {
  const agent = new HttpsAgent(options);
  const open = (target: ConnectionOptions, done: (error: Error | null, socket?: unknown) => void): void => {
    const authority = `${target.host}:${target.port ?? 443}`;
    const start = proxy.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = { host: authority, ...proxyAuthorization(proxy) };
    const asked = start(proxy, { method: 'CONNECT', path: authority, headers, agent: false });
    asked.once('error', done);
    asked.once('connect', (answer, socket) => {
      if (answer.statusCode !== 200) {
        socket.destroy();
        // 502 and its like pass, a refusal stays.
        const code = (answer.statusCode ?? 0) < 500 ? 'EPROXY' : 'EPROXYBUSY';
        done(Object.assign(new Error(`the proxy ${proxy.host} answered ${answer.statusCode}`), { code }));
        return;
      }
      const secured = connect({ ...target, socket, servername: target.servername || String(target.host) }, () =>
        done(null, secured),
      );
      secured.once('error', done);
    });
    asked.end();
  };
  (agent as unknown as { createConnection: typeof open }).createConnection = open;
  return agent;
}
