// FIFOs and names of sockets, which Node has no call for.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { type PathLike, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { ShareError } from './errno.ts';

/** By mkfifo(1), to which "/proc/self" would be itself. */
export function makeFifo(path: PathLike): void {
  if (typeof path !== 'string') throw new ShareError('EPERM'); // Not UTF-8: no argument of a program here.
  try {
    const ours = path.replace(/^\/proc\/self\//, `/proc/${process.pid}/`);
    execFileSync('mkfifo', ['-m', '600', '--', ours], { stdio: 'ignore' });
  } catch {
    throw new ShareError('EPERM');
  }
}

/** Whoever listens there is in the guest: here it is a name. Node removes the name that it has bound, so that is another one. */
export function makeSocket(directory: string, path: PathLike): void {
  const temporary = `${directory}/.${randomBytes(6).toString('hex')}`;
  const server = createServer((socket) => socket.destroy());
  server.on('error', () => {}); // Seen by the name that is missing then.
  server.listen(temporary);
  try {
    renameSync(temporary, path);
  } finally {
    server.close();
  }
}
