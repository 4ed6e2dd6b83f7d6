// One connection to a supervisor: frames in and out of a unix socket, with backpressure both ways.
import type { Machine, MachineSocket } from '../machine.ts';
import { createFrameReader, type Frame } from '../frames.ts';
import { thisMachine } from './this-machine.ts';

/** Gets what comes; `closed` is the last call and comes once. */
export interface Listener {
  frame(frame: Frame): void;
  closed(error?: Error): void;
}

export interface Connection {
  /** False where the socket's buffer is full: then wait for `drained`. Nothing is sent on a closed connection. */
  send(...chunks: Uint8Array[]): boolean;
  /** Resolves when all that was sent has left this process, or the connection is closed. */
  drained(): Promise<void>;
  /** Replaces the listener, between two frames too. */
  listen(listener: Listener): void;
  pause(): void;
  resume(): void;
  /** Lets the process end although the connection is open. */
  unref(): void;
  ref(): void;
  /** Closes once all is sent; `closed` of the listener still follows. */
  close(): void;
  /** Sends no more; resolves when the other side has closed, too. */
  ended(): Promise<void>;
}

/** Connects to a unix socket. Rejects with the system's error: ENOENT, ECONNREFUSED where nobody listens. */
export async function openConnection(
  path: string,
  listener: Listener,
  machine: Machine = thisMachine,
): Promise<Connection> {
  return overSocket(await machine.connect(path), listener);
}

function overSocket(socket: MachineSocket, first: Listener): Connection {
  const reader = createFrameReader();
  let listener = first;
  let failure: Error | undefined;

  socket.on('data', (chunk: Buffer) => {
    if (failure !== undefined) return;
    try {
      for (const frame of reader.push(chunk)) listener.frame(frame);
    } catch (error) {
      failure = error as Error;
      socket.destroy();
    }
  });
  socket.on('error', (error) => {
    failure ??= error;
  });
  socket.once('close', () => listener.closed(failure));

  return {
    send(...chunks) {
      if (!socket.writable) return false;
      socket.cork(); // One writev(2) for all.
      let room = true;
      for (const chunk of chunks) room = socket.write(chunk);
      socket.uncork();
      return room;
    },
    drained: () =>
      new Promise((resolve) => {
        if (!socket.writable || socket.writableLength === 0) return resolve();
        const done = (): void => {
          socket.off('drain', done);
          socket.off('close', done);
          resolve();
        };
        socket.once('drain', done);
        socket.once('close', done);
      }),
    listen: (next) => {
      listener = next;
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    unref: () => socket.unref(),
    ref: () => socket.ref(),
    ended: () =>
      new Promise((resolve) => {
        if (socket.destroyed) return resolve();
        socket.once('close', () => resolve());
        socket.resume();
        socket.end();
      }),
    close: () => {
      socket.end();
      socket.destroySoon();
    },
  };
}
