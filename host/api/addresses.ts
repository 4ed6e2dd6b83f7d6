// Where the API is served: what -H says, and what a service manager has opened for this process.
import { readFileSync, readlinkSync } from 'node:fs';
import { GantryError } from '../errors.ts';

/** Paths of PEM files. */
export interface TlsFiles {
  /** Who signs the certificates of clients. */
  authority: string;
  certificate: string;
  key: string;
}

export type Address =
  | { kind: 'unix'; path: string }
  | { kind: 'tcp'; host: string; port: number; tls: TlsFiles }
  /** A listening socket that this process was started with. */
  | { kind: 'fd'; fd: number; tls?: TlsFiles };

/** Docker's port for TLS. */
const TLS_PORT = 2376;

/** @throws {GantryError} UNSUPPORTED, INVALID_ARGUMENT; everything but unix sockets needs certificates of clients. */
export function readAddresses(hosts: string[], tls: TlsFiles | undefined, env = process.env): Address[] {
  return hosts.flatMap((host): Address[] => {
    const [, scheme, rest = ''] = /^(?:(\w+):\/\/)?(.*)$/.exec(host) ?? [];
    if (scheme === 'unix' && rest.startsWith('/')) return [{ kind: 'unix', path: rest }];
    if (scheme === 'fd') return activated(rest, env).map((fd) => inherited(fd, tls));
    if (scheme === 'tcp') return [tcp(host, rest, tls)];
    throw new GantryError('UNSUPPORTED', `Cannot listen on "${host}": no such kind of address`, {
      hint: 'unix:///PATH, tcp://ADDRESS:PORT with TLS, or fd:// under systemd',
    });
  });
}

function tcp(host: string, rest: string, tls: TlsFiles | undefined): Address {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:/]*))(?::(\d+))?\/?$/.exec(rest) ?? [];
  const port = digits === undefined ? TLS_PORT : Number(digits);
  if ((bracketed ?? plain) === undefined || port > 65535)
    throw new GantryError('INVALID_ARGUMENT', `Cannot listen on "${host}": not an address and a port`, {
      hint: 'Such as tcp://127.0.0.1:2376',
    });
  if (tls === undefined) throw withoutTls(host);
  return { kind: 'tcp', host: bracketed ?? (plain || '127.0.0.1'), port, tls };
}

function withoutTls(host: string): GantryError {
  return new GantryError('UNSUPPORTED', `Cannot listen on "${host}" without TLS: whoever connects is root here`, {
    hint: 'Give --tlsverify, --tlscacert, --tlscert and --tlskey, or use "docker -H ssh://"',
  });
}

/** sd_listen_fds(3): the fds from 3 on, where they are meant for this process. "fd://NAME" takes those of that name. */
function activated(name: string, env: NodeJS.ProcessEnv): number[] {
  const count = env.LISTEN_PID === String(process.pid) ? Number(env.LISTEN_FDS ?? 0) : 0;
  const names = (env.LISTEN_FDNAMES ?? '').split(':');
  const all = Array.from({ length: count }, (_, index) => index);
  const found = all.filter((index) => name === '' || name === '*' || name === names[index] || name === `${index + 3}`);
  if (found.length > 0) return found.map((index) => index + 3);
  throw new GantryError('INVALID_ARGUMENT', `Cannot listen on "fd://${name}": no such socket was passed on`, {
    hint: 'Start it by a socket unit of systemd; LISTEN_FDS and LISTEN_PID say what there is',
  });
}

/** Only what the kernel lists as a unix socket may be served without TLS. */
function inherited(fd: number, tls: TlsFiles | undefined): Address {
  const [, inode = ''] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? [];
  const isUnix = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some((line) => line.split(/\s+/)[6] === inode);
  if (isUnix) return { kind: 'fd', fd };
  if (tls === undefined) throw withoutTls(`fd://${fd}`);
  return { kind: 'fd', fd, tls };
}
