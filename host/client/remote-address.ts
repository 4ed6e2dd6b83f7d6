// Addresses of engines elsewhere, as docker writes them: tcp://HOST[:PORT], ssh://[USER@]HOST[:PORT][/SOCKET].
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { dockerDirectory } from '../docker-config-file.ts';
import { GantryError } from '../errors.ts';
import type { Endpoint, Remote, Target, TlsFiles } from './target.ts';

const PORT = 2375;
const TLS_PORT = 2376;

/** As docker decides: --tls, --tlsverify, DOCKER_TLS, DOCKER_TLS_VERIFY; files of DOCKER_CERT_PATH, else of ~/.docker. */
export function tlsOf(target: Target, env: NodeJS.ProcessEnv): TlsFiles | undefined {
  const verify = target.tlsverify ?? Boolean(env.DOCKER_TLS_VERIFY);
  const wanted = verify || target.tlsverify !== undefined || (target.tls ?? Boolean(env.DOCKER_TLS));
  if (!wanted) {
    const named = (['tlscacert', 'tlscert', 'tlskey'] as const).find((name) => target[name] !== undefined);
    if (named === undefined) return undefined;
    throw new GantryError('INVALID_ARGUMENT', `Cannot use --${named} without --tlsverify or --tls`, {
      hint: '--tlsverify proves who the engine is; --tls only encrypts',
      details: { flag: true },
    });
  }
  const directory = env.DOCKER_CERT_PATH || dockerDirectory(env);
  const certificate = target.tlscert ?? ifThere(join(directory, 'cert.pem'));
  const key = target.tlskey ?? ifThere(join(directory, 'key.pem'));
  return {
    verify,
    ...(verify ? { authority: target.tlscacert ?? join(directory, 'ca.pem') } : {}),
    ...(certificate ? { certificate } : {}),
    ...(key ? { key } : {}),
  };
}

const ifThere = (path: string): string | undefined => (existsSync(path) ? path : undefined);

/** @throws {GantryError} INVALID_ARGUMENT for what is no address, UNSUPPORTED for other transports and for tcp without TLS. */
export function readRemote(host: string, tls: TlsFiles | undefined): Pick<Endpoint, 'name'> & { remote: Remote } {
  const [, scheme = '', rest = ''] = /^([a-z]+):\/\/(.*)$/i.exec(host) ?? [];
  if (scheme === 'tcp') return readTcp(host, rest, tls);
  if (scheme === 'ssh') return readSsh(host, rest);
  const why =
    scheme === 'npipe'
      ? 'named pipes are only on Windows'
      : scheme === 'fd'
        ? 'only "gantry serve" takes sockets of systemd'
        : 'no such kind of address';
  throw new GantryError('UNSUPPORTED', `Cannot connect to "${host}": ${why}`, {
    hint: 'Such as unix:///run/gantry/gantry.sock, tcp://HOST:2376 with --tlsverify, or ssh://USER@HOST',
  });
}

function readTcp(
  address: string,
  rest: string,
  tls: TlsFiles | undefined,
): Pick<Endpoint, 'name'> & { remote: Remote } {
  const url = parse(`http://${rest}`, address);
  if (url.username || url.password || !/^\/?$/.test(url.pathname) || url.search || url.hash)
    throw malformed(address, 'tcp://HOST:PORT');
  const host = url.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1';
  // "http:" hides its own port.
  const port = Number(/:(\d+)\/?$/.exec(rest)?.[1] ?? (tls ? TLS_PORT : PORT));
  const name = `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (tls === undefined && !isLoopback(host))
    throw new GantryError(
      'UNSUPPORTED',
      `Cannot connect to "${name}" without TLS: who reads along could rule that host`,
      {
        hint: 'Give --tlsverify with ca.pem, cert.pem and key.pem in ~/.docker (or DOCKER_CERT_PATH), or use ssh://HOST',
      },
    );
  return { name, remote: { kind: 'tcp', host, port, ...(tls ? { tls } : {}) } };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function readSsh(address: string, rest: string): Pick<Endpoint, 'name'> & { remote: Remote } {
  const url = parse(`ssh://${rest}`, address);
  if (url.password)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot connect to "ssh://${url.host}": no password can stand in an address`,
      {
        hint: 'Use a key, and ssh-agent(1) where it has a passphrase',
      },
    );
  const [host, user] = [decodeURIComponent(url.hostname).replace(/^\[|\]$/g, ''), decodeURIComponent(url.username)];
  // What begins with a dash would be an option of ssh.
  if (host === '' || /^-|\s/.test(host) || /^-|\s/.test(user) || url.search || url.hash)
    throw malformed(address, 'ssh://USER@HOST:PORT');
  const socket = decodeURIComponent(url.pathname).replace(/^\/$/, '');
  return {
    name: address,
    remote: {
      kind: 'ssh',
      host,
      ...(user ? { user } : {}),
      ...(url.port ? { port: Number(url.port) } : {}),
      ...(socket ? { socket } : {}),
    },
  };
}

function parse(text: string, address: string): URL {
  try {
    return new URL(text);
  } catch {
    throw malformed(address, 'tcp://HOST:PORT or ssh://USER@HOST');
  }
}

function malformed(address: string, wanted: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Cannot read the address "${address}"`, { hint: `Such as ${wanted}` });
}
