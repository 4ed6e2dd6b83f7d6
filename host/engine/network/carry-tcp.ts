// A TCP port held by this process, its connections carried to the container byte by byte.
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Held, Place } from './held-port.ts';

export async function holdTcp(place: Place, reached: (client: string) => void): Promise<Held> {
  let target: { host: string; port: number } | undefined;
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    if (target === undefined) {
      client.destroy();
      return;
    }
    reached(client.remoteAddress ?? '');
    carry(client, connect({ ...target, allowHalfOpen: true }), open);
  });
  const port = await listen(server, place);
  server.unref();
  return {
    port,
    target(host, containerPort) {
      target = { host, port: containerPort };
    },
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

function carry(client: Socket, inner: Socket, open: Set<Socket>): void {
  for (const socket of [client, inner]) {
    open.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {
      client.destroy();
      inner.destroy();
    });
    socket.once('close', () => open.delete(socket));
  }
  client.pipe(inner);
  inner.pipe(client);
}

function listen(server: Server, place: Place): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(place, () => resolve((server.address() as { port: number }).port));
  });
}
