// The control socket of a WASI container: the frames of core-asm/abi.ts, as a supervisor of the executor speaks them.
import { createServer, type Socket } from 'node:net';
import {
  ATTACH_OUTPUT,
  ATTACH_STDIN,
  FRAME_ATTACH,
  FRAME_EXITED,
  FRAME_HELLO,
  FRAME_OUTPUT,
  FRAME_RUN,
  FRAME_SIGNAL,
  FRAME_STARTED,
  FRAME_STDIN,
  FRAME_STDIN_CLOSE,
  FRAME_TORN_DOWN,
  PLAN_VERSION,
  STREAM_STDERR,
  STREAM_STDOUT,
} from '../../core-asm/abi.ts';
import { createFrameReader, encodeFrame, type Exited, type Frame, type Started } from '../frames.ts';

export interface Controlled {
  start(): Started;
  input(data: Uint8Array): void;
  closeInput(): void;
  /** Bytes of input that nobody has asked for. */
  held(): number;
  signal(number: number): void;
  /** Somebody who was attached to the input has left. */
  left(): void;
}

export interface Control {
  /** Sends output to all that are attached; a promise where one of them is behind. */
  output(stream: 'stdout' | 'stderr', data: Uint8Array): Promise<void> | undefined;
  /** Input was taken: those who wait may send more. */
  resume(): void;
  /** Tells the end to everybody; resolves when it has left, or they have. */
  exited(exit: Exited): Promise<void>;
}

interface Client {
  socket: Socket;
  attached: number;
}

/** More input than this waits at the other end of the socket. */
const INPUT_LIMIT = 1 << 20;
/** Who does not take the news of an end is not waited for longer. */
const PARTING_MS = 60_000;

function payload(size: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(size);
  write(new DataView(bytes.buffer));
  return bytes;
}

export async function serveControl(path: string, controlled: Controlled): Promise<Control> {
  const clients = new Set<Client>();
  let started: Started | undefined;
  let over = false;

  const tellStarted = ({ socket }: Client, { pid, startedAt }: Started): void => {
    const told = payload(16, (view) => {
      view.setUint32(0, pid, true);
      view.setBigUint64(8, startedAt, true);
    });
    socket.write(encodeFrame(FRAME_STARTED, told));
  };
  const take = (client: Client, { type, payload: given }: Frame): void => {
    if (over) return;
    const number = given.length < 4 ? 0 : new DataView(given.buffer, given.byteOffset).getUint32(0, true);
    if (type === FRAME_ATTACH) {
      client.attached |= number;
      if (started !== undefined) tellStarted(client, started);
    } else if (type === FRAME_RUN && started === undefined) {
      started = controlled.start();
      tellStarted(client, started);
    } else if (type === FRAME_STDIN && (client.attached & ATTACH_STDIN) !== 0) {
      controlled.input(given);
      if (controlled.held() > INPUT_LIMIT) client.socket.pause();
    } else if (type === FRAME_STDIN_CLOSE) controlled.closeInput();
    else if (type === FRAME_SIGNAL) controlled.signal(number);
  };

  const server = createServer((socket) => {
    const client: Client = { socket, attached: 0 };
    const reader = createFrameReader();
    clients.add(client);
    socket.on('data', (chunk) => {
      try {
        for (const frame of reader.push(chunk)) take(client, frame);
      } catch {
        socket.destroy(); // It does not speak frames.
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clients.delete(client);
      if ((client.attached & ATTACH_STDIN) !== 0 && !over) controlled.left();
    });
    const hello = payload(8, (view) => {
      view.setUint32(0, PLAN_VERSION, true);
      view.setUint32(4, process.pid, true);
    });
    socket.write(encodeFrame(FRAME_HELLO, hello));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });

  const drained = (socket: Socket): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        socket.off('drain', done);
        socket.off('close', done);
        resolve();
      };
      socket.once('drain', done);
      socket.once('close', done);
    });

  return {
    output(stream, data) {
      const frame = encodeFrame(FRAME_OUTPUT, data, stream === 'stderr' ? STREAM_STDERR : STREAM_STDOUT);
      const behind: Promise<void>[] = [];
      for (const { socket, attached } of clients)
        if ((attached & ATTACH_OUTPUT) !== 0 && socket.writable && !socket.write(frame)) behind.push(drained(socket));
      return behind.length === 0 ? undefined : Promise.all(behind).then(() => {});
    },
    resume() {
      if (controlled.held() <= INPUT_LIMIT) for (const { socket } of clients) socket.resume();
    },
    async exited({ exitCode, flags, finishedAt }) {
      over = true;
      server.close();
      const told = payload(16, (view) => {
        view.setUint32(0, exitCode, true);
        view.setUint32(4, flags, true);
        view.setBigUint64(8, finishedAt, true);
      });
      const gone = [...clients].map(
        ({ socket }) =>
          new Promise<void>((resolve) => {
            if (socket.destroyed) return resolve();
            socket.once('close', () => resolve());
            socket.write(encodeFrame(FRAME_EXITED, told));
            socket.end(encodeFrame(FRAME_TORN_DOWN), () => resolve());
          }),
      );
      await Promise.race([Promise.all(gone), new Promise((resolve) => setTimeout(resolve, PARTING_MS))]);
    },
  };
}
