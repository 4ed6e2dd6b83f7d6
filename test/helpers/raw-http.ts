// Bytes to an engine's socket and back, for requests that no client library would send.
import { connect, type Socket } from 'node:net';

export interface RawConnection {
  socket: Socket;
  /** What has come so far. */
  text(): string;
  /** Resolves when the other side has ended. */
  closed: Promise<string>;
  /** Resolves when it has come. */
  until(wanted: RegExp): Promise<string>;
}

/** @param allowHalfOpen our side stays open when the other one ends. */
export function rawConnection(path: string, sent = '', allowHalfOpen = false): Promise<RawConnection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen });
    let got = '';
    const listeners = new Set<() => void>();
    const closed = new Promise<string>((done) => {
      const finish = (): void => {
        done(got);
        for (const listener of listeners) listener();
      };
      socket.once('end', finish).once('close', finish);
    });
    socket.on('data', (chunk: Buffer) => {
      got += chunk.toString('latin1');
      for (const listener of listeners) listener();
    });
    socket.once('error', reject);
    socket.on('error', () => {});
    socket.once('connect', () => {
      socket.write(sent);
      resolve({
        socket,
        text: () => got,
        closed,
        until: (wanted) =>
          new Promise((done, fail) => {
            const look = (): void => {
              if (!wanted.test(got) && !socket.destroyed && !socket.readableEnded) return;
              listeners.delete(look);
              if (wanted.test(got)) done(got);
              else fail(new Error(`The connection ended without ${wanted}: ${got}`));
            };
            listeners.add(look);
            look();
          }),
      });
    });
  });
}

/** One request on a connection of its own: all that comes until the engine closes. */
export async function rawCall(path: string, head: string, body = ''): Promise<string> {
  const { closed, socket } = await rawConnection(path, `${head.replaceAll('\n', '\r\n')}\r\n\r\n${body}`);
  const text = await closed;
  socket.destroy();
  return text;
}
