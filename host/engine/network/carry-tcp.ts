// A TCP port held by this process, its connections carried to the container byte by byte.
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Held, Place, Way } from './held-port.ts';

export async function holdTcp(place: Place, reached: (client: string) => void, { dial }: Way): Promise<Held> {
  let target: { host: string; port: number } | undefined;
  const open = new Set<Duplex>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    if (target === undefined) {
      client.destroy();
      return;
    }
    reached(client.remoteAddress ?? '');
    open.add(client);
    client.once('close', () => open.delete(client));
    client.on('error', () => client.destroy());
    dial(target.host, target.port).then(
      (inner) => (client.destroyed ? inner.destroy() : carry(client, inner, open)),
      () => client.destroy(),
    );
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

function carry(client: Socket, inner: Duplex, open: Set<Duplex>): void {
  open.add(inner);
  inner.once('close', () => open.delete(inner));
  client.setNoDelay(true);
  for (const [one, other] of [
    [client, inner],
    [inner, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.pipe(other);
  }
  inner.on('error', () => inner.destroy());
}

function listen(server: Server, place: Place): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(place, () => resolve((server.address() as { port: number }).port));
  });
}
