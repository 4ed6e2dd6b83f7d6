// Streams over the guest's one serial port, as guest/agent.c speaks it: connections to its sockets, and shell scripts.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

const READY = 1;
const CONNECT = 2;
const RUN = 3;
const DATA = 4;
const END = 5;

const HEADER = 12;
const PAYLOAD_MAX = 65536;

interface Stream {
  data(bytes: Buffer): void;
  end(status: number): void;
}

export interface Channel {
  /** Resolves at the agent's first word. */
  readonly ready: Promise<void>;
  /** Runs a shell script in the guest. */
  run(script: string): Promise<{ status: number; output: Buffer }>;
  /** Listens on a socket of the host; each connection goes on to the guest's socket. */
  forward(hostPath: string, guestPath: string): Promise<void>;
  close(): Promise<void>;
}

/** There is no flow control: what a test moves is small. */
export function createChannel(port: Socket): Channel {
  const streams = new Map<number, Stream>();
  const servers: Server[] = [];
  const forwarded = new Set<Socket>();
  let last = 0;
  let held = Buffer.alloc(0);
  let ready!: () => void;
  const readiness = new Promise<void>((resolve) => {
    ready = resolve;
  });

  const send = (stream: number, type: number, payload: Uint8Array = Buffer.alloc(0)): void => {
    const header = Buffer.alloc(HEADER);
    header.writeUInt32LE(stream);
    header.writeUInt32LE(payload.length, 4);
    header.writeUInt8(type, 8);
    port.write(header);
    port.write(payload);
  };
  const open = (type: number, text: string, stream: Stream): number => {
    streams.set(++last, stream);
    send(last, type, Buffer.from(text));
    return last;
  };
  const take = (id: number, type: number, payload: Buffer): void => {
    if (type === READY) ready();
    else if (type === DATA) streams.get(id)?.data(payload);
    else if (type === END) {
      streams.get(id)?.end(payload.readUInt32LE(0));
      streams.delete(id);
    }
  };

  port.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    let at = 0;
    while (held.length - at >= HEADER && held.length - at >= HEADER + held.readUInt32LE(at + 4)) {
      const length = held.readUInt32LE(at + 4);
      take(held.readUInt32LE(at), held.readUInt8(at + 8), held.subarray(at + HEADER, at + HEADER + length));
      at += HEADER + length;
    }
    held = held.subarray(at);
  });
  port.on('error', () => {});
  port.once('close', () => {
    for (const stream of streams.values()) stream.end(255);
    streams.clear();
  });

  return {
    ready: readiness,
    run(script) {
      return new Promise((resolve) => {
        const chunks: Buffer[] = [];
        const end = (status: number): void => resolve({ status, output: Buffer.concat(chunks) });
        send(open(RUN, script, { data: (bytes) => void chunks.push(Buffer.from(bytes)), end }), END);
      });
    },
    async forward(hostPath, guestPath) {
      const server = createServer((socket) => {
        const id = open(CONNECT, guestPath, {
          data: (bytes) => void socket.write(bytes),
          end: () => void socket.end(),
        });
        forwarded.add(socket);
        socket.on('error', () => {});
        socket.on('data', (chunk: Buffer) => {
          for (let from = 0; from < chunk.length; from += PAYLOAD_MAX)
            send(id, DATA, chunk.subarray(from, from + PAYLOAD_MAX));
        });
        socket.once('close', () => {
          forwarded.delete(socket);
          if (streams.has(id)) send(id, END);
        });
      });
      servers.push(server);
      await once(server.listen(hostPath), 'listening');
    },
    async close() {
      port.destroy();
      for (const socket of forwarded) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}
