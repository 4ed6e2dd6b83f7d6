// This very machine, as the backend sees one.
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { access, readdir, readFile, stat } from 'node:fs/promises';
import { createConnection, isIPv6, type Socket } from 'node:net';
import { GantryError } from '../errors.ts';
import type { DatagramLink, Machine } from '../machine.ts';

const S_IFMT = 0o170000n;
const S_IFBLK = 0o060000n;
const S_IFCHR = 0o020000n;
const OUTPUT_MAX = 64 * 1024 * 1024;

/** Largest path of a unix socket: sun_path of unix(7) less its NUL. */
export const SOCKET_PATH_MAX = 107;

export const thisMachine: Machine = {
  architecture: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
  read: (path) => readFile(path).catch(() => new Uint8Array(0)),
  exists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  async list(path) {
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
  },
  async deviceNode(path) {
    const node = await stat(path, { bigint: true }).catch(() => undefined);
    const format = (node?.mode ?? 0n) & S_IFMT;
    if (node === undefined || (format !== S_IFBLK && format !== S_IFCHR)) return undefined;
    return [major(node.rdev), minor(node.rdev), format === S_IFBLK ? 'b' : 'c'];
  },
  exchange: exchangeDatagrams,
  dial: (address, port) => connected(createConnection({ host: address, port, allowHalfOpen: true, noDelay: true })),
  connect: (path) =>
    new Promise((resolve, reject) => {
      if (Buffer.byteLength(path) > SOCKET_PATH_MAX) {
        reject(Object.assign(new Error(`socket path longer than ${SOCKET_PATH_MAX} bytes`), { code: 'ENAMETOOLONG' }));
        return;
      }
      connected(createConnection(path)).then(resolve, reject);
    }),
  ps: (args) =>
    new Promise((resolve, reject) => {
      execFile('ps', args, { maxBuffer: OUTPUT_MAX }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else if (error.code === 'ENOENT') resolve(undefined);
        else
          reject(new GantryError('INTERNAL', `Cannot list processes: ps: ${stderr.split('\n')[0] || error.message}`));
      });
    }),
};

function exchangeDatagrams(address: string, port: number, received: (data: Uint8Array) => void): DatagramLink {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  socket.unref();
  socket.on('error', () => {});
  socket.on('message', received);
  return { send: (data) => socket.send(data, port, address), close: () => void socket.close() };
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** gnu_dev_major(3): bits 8–19 and 32–63. */
function major(device: bigint): number {
  return Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
}

/** gnu_dev_minor(3): bits 0–7 and 20–31 (12 bits down). */
function minor(device: bigint): number {
  return Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
}
