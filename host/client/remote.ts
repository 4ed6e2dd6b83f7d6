// Connections to an engine elsewhere: TCP with or without TLS, or the standard streams of ssh. They are kept for the next request.
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { GantryError } from '../errors.ts';
import { openSsh } from './ssh.ts';
import type { Remote, SshTarget, TlsFiles } from './target.ts';

export interface Connections {
  /** For node:http. */
  options: { agent: HttpAgent; protocol: string; host?: string; port?: number };
  /** The header Host: over TLS the engine asks for a name of its certificate. */
  host: string;
  /** A connection of its own. */
  dial(): Promise<Duplex>;
}

/** @throws {GantryError} PATH_NOT_FOUND where a file of TLS cannot be read. */
export function openConnections(remote: Remote): Connections {
  if (remote.kind === 'ssh')
    return {
      options: { agent: new SshAgent(remote), protocol: 'http:' },
      host: 'gantry',
      dial: async () => openSsh(remote),
    };
  const { host, port, tls } = remote;
  const at = { host, port };
  const name = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  if (tls === undefined)
    return {
      options: { agent: new HttpAgent({ keepAlive: true }), protocol: 'http:', ...at },
      host: name,
      dial: () => opened(connect({ ...at, allowHalfOpen: true }), 'connect'),
    };
  const secrets = readTls(tls);
  const options = { agent: new HttpsAgent({ keepAlive: true, ...secrets }), protocol: 'https:', ...at };
  const dial = (): Promise<Duplex> =>
    opened(connectTls({ ...at, ...secrets, allowHalfOpen: true } as ConnectionOptions), 'secureConnect');
  return { options, host: name, dial };
}

function opened(socket: Duplex, event: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve(socket));
    socket.once('error', reject);
  });
}

function readTls({ verify, authority, certificate, key }: TlsFiles): ConnectionOptions {
  if ((certificate === undefined) !== (key === undefined))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot use --${certificate ? 'tlscert without --tlskey' : 'tlskey without --tlscert'}`,
      {
        hint: 'They are two halves of one identity',
        details: { flag: true },
      },
    );
  return {
    rejectUnauthorized: verify,
    ...(authority === undefined ? {} : { ca: read(authority, 'authority') }),
    ...(certificate === undefined ? {} : { cert: read(certificate, 'certificate') }),
    ...(key === undefined ? {} : { key: read(key, 'key') }),
  };
}

function read(path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new GantryError(
      'PATH_NOT_FOUND',
      `Cannot read the TLS ${what} "${path}": ${(cause as NodeJS.ErrnoException).code}`,
      {
        hint: 'ca.pem, cert.pem and key.pem are looked for in DOCKER_CERT_PATH, else in ~/.docker',
        cause,
      },
    );
  }
}

/** What Node does to kept sockets (TCP's keepalive, unref) means nothing to the streams of a process. */
class SshAgent extends HttpAgent {
  readonly #target: SshTarget;

  constructor(target: SshTarget) {
    super({ keepAlive: true });
    this.#target = target;
  }

  override createConnection(): Duplex {
    return openSsh(this.#target);
  }

  override keepSocketAlive(): boolean {
    return true;
  }

  override reuseSocket(): void {}
}
