// A terminal or pipes connected to a container: output, input, window size, signals, detach keys.
import { spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Api } from '../../client/api.ts';
import { createDemultiplexer } from '../../client/stdcopy.ts';
import { createDetachFilter, parseDetachKeys } from '../../detach-keys.ts';

export interface SessionOptions {
  /** The container (or exec) has a terminal. */
  tty: boolean;
  /** Send this process's stdin. */
  stdin: boolean;
  detachKeys?: string | undefined;
}

/** How a session ended. */
export type Ending = 'ended' | 'detached';

/** Pumps until the other side ends, or the user detaches. The terminal is as it was afterwards, on every way out. */
export async function runSession(socket: Socket, { tty, stdin, detachKeys }: SessionOptions): Promise<Ending> {
  const raw = tty && stdin && process.stdin.isTTY === true;
  const restore = raw ? rawTerminal() : () => {};
  let detached = false;
  const filter = createDetachFilter(parseDetachKeys(detachKeys));
  const input = (chunk: Buffer): void => {
    const { send, detach } = raw ? filter(chunk) : { send: chunk, detach: false };
    if (send.length > 0 && !socket.write(send)) {
      process.stdin.pause();
      socket.once('drain', () => process.stdin.resume());
    }
    if (detach) {
      detached = true;
      socket.destroy();
    }
  };
  const finish = (): void => void socket.end();
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('close', () => resolve());
      socket.once('end', () => resolve());
      socket.once('error', (error: NodeJS.ErrnoException) =>
        ['ECONNRESET', 'EPIPE'].includes(error.code ?? '') ? resolve() : reject(error),
      );
      const write = (stream: 'stdout' | 'stderr', data: Buffer): void => {
        if (process[stream].write(data)) return;
        socket.pause();
        process[stream].once('drain', () => socket.resume());
      };
      socket.on('data', tty ? (chunk: Buffer) => write('stdout', chunk) : createDemultiplexer(write));
      if (stdin) {
        process.stdin.on('data', input);
        process.stdin.once('end', finish);
      }
    });
  } finally {
    process.stdin.off('data', input);
    process.stdin.off('end', finish);
    process.stdin.pause();
    process.stdin.unref?.();
    restore();
    socket.destroy();
  }
  return detached ? 'detached' : 'ended';
}

function rawTerminal(): () => void {
  process.stdin.setRawMode(true);
  // Node leaves the output's processing on (termios(3), OPOST): every line feed would also return, where a full-screen
  // program means "one down". The mode that is restored at the end has it as it was.
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  const restore = (): void => {
    process.stdin.setRawMode(false);
  };
  process.once('exit', restore);
  return () => {
    process.off('exit', restore);
    restore();
  };
}

/** Rows and columns of ours, which the container's has from its first moment: zeros where there is none. */
export function terminalSize(): [number, number] {
  const { rows, columns } = process.stdout;
  return process.stdout.isTTY ? [rows, columns] : [0, 0];
}

/** Keeps the size of the container's terminal that of ours. @param path "/containers/ID" or "/exec/ID". */
export function followSize(api: Api, path: string): () => void {
  const send = (): void => {
    const { rows, columns } = process.stdout;
    if (process.stdout.isTTY) api.send('POST', `${path}/resize`, { query: { h: rows, w: columns } }).catch(() => {});
  };
  send();
  process.stdout.on('resize', send);
  return () => process.stdout.off('resize', send);
}

const proxied: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'];

/** Signals that we get go to the container. */
export function proxySignals(api: Api, id: string): () => void {
  const handlers = proxied.map((signal) => {
    const handler = (): void => void api.send('POST', `/containers/${id}/kill`, { query: { signal } }).catch(() => {});
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  return () => {
    for (const stop of handlers) stop();
  };
}
