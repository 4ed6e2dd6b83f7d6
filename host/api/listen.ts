// Opens the sockets of the API: private ones on the file system, TLS with certificates of clients on the network.
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerOptions } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import { type AddressInfo, connect, isIP } from 'node:net';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { GantryError } from '../errors.ts';
import type { Address, TlsFiles } from './addresses.ts';

export interface Listening {
  server: Server | TlsServer;
  /** As -H takes it: "unix:///run/gantry.sock", "tcp://127.0.0.1:2376". */
  address: string;
  /** Whether a request may name this host; a page of another name that points here may not (DNS rebinding). */
  isOwnName(host: string): boolean;
  /** Reads the certificates again. */
  reload(): void;
  close(): void;
}

/** @throws {GantryError} IN_USE, PERMISSION_DENIED, INVALID_ARGUMENT for certificates. */
export async function listen(address: Address, options: ServerOptions): Promise<Listening> {
  const files = address.kind === 'unix' ? undefined : address.tls;
  const tls = files === undefined ? undefined : readTls(files);
  const server =
    tls === undefined ? createServer(options) : (await import('node:https')).createServer({ ...options, ...tls });
  // An attached client that has sent its last input still reads, as over plain HTTP. Not for all of the server: a connection
  // that breaks off in the handshake would stay half open.
  server.on('secureConnection', (socket) => {
    socket.allowHalfOpen = true;
  });
  const shown = await open(server, address);
  return {
    server,
    address: shown,
    isOwnName: (host) => files === undefined || namesUs(host, files),
    reload() {
      if (files !== undefined) (server as TlsServer).setSecureContext(readTls(files));
    },
    close() {
      if (address.kind === 'unix') rmSync(address.path, { force: true });
    },
  };
}

function readTls({ authority, certificate, key }: TlsFiles): object {
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new GantryError('INVALID_ARGUMENT', `Cannot read the certificate "${path}": ${code}`, { cause });
    }
  };
  return {
    ca: read(authority),
    cert: read(certificate),
    key: read(key),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  };
}

function namesUs(host: string, { certificate }: TlsFiles): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  if (isIP(name) !== 0 || name === 'localhost' || name === hostname()) return true;
  return new X509Certificate(readFileSync(certificate)).checkHost(name) !== undefined;
}

async function open(server: Server | TlsServer, address: Address): Promise<string> {
  const wanted =
    address.kind === 'unix'
      ? `unix://${address.path}`
      : address.kind === 'fd'
        ? `fd://${address.fd}`
        : `tcp://${address.host}:${address.port}`;
  if (address.kind === 'unix') await makeWay(address.path);
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const done = (): void => {
        server.off('error', reject);
        resolve();
      };
      if (address.kind === 'unix') server.listen(address.path, done);
      else if (address.kind === 'fd') server.listen({ fd: address.fd }, done);
      else server.listen(address.port, address.host, done);
    });
    if (address.kind === 'unix') chmodSync(address.path, 0o600);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new GantryError(
      code === 'EADDRINUSE' ? 'IN_USE' : 'PERMISSION_DENIED',
      `Cannot listen on "${wanted}": ${code}`,
      { cause },
    );
  } finally {
    process.umask(umask);
  }
  if (address.kind !== 'tcp') return wanted;
  const { address: ip, port, family } = server.address() as AddressInfo;
  return `tcp://${family === 'IPv6' ? `[${ip}]` : ip}:${port}`;
}

/** A socket file that nobody answers at is what a killed engine left. */
async function makeWay(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (!existsSync(path)) return;
  if (await answers(path))
    throw new GantryError('IN_USE', `Cannot listen on "${path}": another process does`, {
      hint: 'Choose another socket with -H',
    });
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
