// A token server as the distribution project specifies it: it signs what docker-registry then verifies.
import { createPrivateKey, createSign, randomUUID, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { makeAuthority, makeCertificate } from './certificates.ts';

const SERVICE = 'the crane yard';
export const REFRESH = 'a-refresh-token';

/** "name:password" → what they may do, by the beginning of a repository's name; '' is who does not log in. */
export type Rights = Record<string, Record<string, string[]>>;

const EVERYTHING = ['pull', 'push'];
const usual: Rights = { '': { 'public/': ['pull'] }, 'crane:high': { '': EVERYTHING }, 'reader:low': { '': ['pull'] } };

export interface TokenServer {
  /** The "auth" member of a registry's configuration. */
  auth: string;
  /** "METHOD SERVICE SCOPES LOGIN" of each request. */
  asked: string[];
  /** From now on answers so many requests with this status. */
  fail(status: number, times: number): void;
  close(): Promise<void>;
}

export async function startTokenServer(directory: string, rights = usual): Promise<TokenServer> {
  const { certificate, key } = makeCertificate(directory, 'token', makeAuthority(directory, 'token-ca'));
  const chain = [new X509Certificate(readFileSync(certificate)).raw.toString('base64')];
  const privateKey = createPrivateKey(readFileSync(key));
  const asked: string[] = [];
  let failure = { status: 0, times: 0 };

  const sign = (access: object[]): string => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      ...{ iss: 'test', sub: 'crane', aud: SERVICE, exp: now + 300, nbf: now - 10, iat: now, jti: randomUUID() },
      access,
    };
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${encode({ typ: 'JWT', alg: 'RS256', x5c: chain })}.${encode(claims)}`;
    return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey, 'base64url')}`;
  };
  /** What of a scope is granted: nobody gets more than they ask for, or than they may have. */
  const grant = (scope: string, own: Record<string, string[]>): object => {
    const [type, name = '', wanted = ''] = scope.split(':');
    const [, allowed = []] = Object.entries(own).find(([beginning]) => name.startsWith(beginning)) ?? [];
    return { type, name, actions: wanted.split(',').filter((action) => allowed.includes(action)) };
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', 'http://localhost');
    let body = '';
    for await (const chunk of request) body += chunk;
    const form = request.method === 'POST' ? new URLSearchParams(body) : url.searchParams;
    const basic = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString();
    const scopes = form.getAll('scope').flatMap((scope) => scope.split(' '));
    asked.push(`${request.method} ${form.get('service')} ${scopes.join(' ')} ${basic}`);
    const login = request.method === 'POST' && form.get('refresh_token') === REFRESH ? 'crane:high' : basic;
    const own = rights[login];
    if (failure.times-- > 0) response.writeHead(failure.status).end();
    else if (own === undefined) response.writeHead(401).end('{"details":"incorrect username or password"}');
    else response.end(JSON.stringify({ token: sign(scopes.map((scope) => grant(scope, own))) }));
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return {
    auth: `{token: {realm: "${realm}", service: "${SERVICE}", issuer: test, rootcertbundle: ${certificate}}}`,
    asked,
    fail: (status, times) => {
      failure = { status, times };
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
