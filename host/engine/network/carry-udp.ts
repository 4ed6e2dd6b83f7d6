// A UDP port held by this process; each client gets a socket of its own towards the container, as long as it is used.
import { createSocket, type Socket } from 'node:dgram';
import type { Held, Place } from './held-port.ts';

const IDLE_MS = 60_000;
/** Clients at the same time: who forges source addresses does not take every fd. */
const SESSIONS = 1024;

interface Session {
  socket: Socket;
  timer: NodeJS.Timeout;
}

export async function holdUdp({ host, port, ipv6Only }: Place, reached: (client: string) => void): Promise<Held> {
  let target: { host: string; port: number } | undefined;
  const sessions = new Map<string, Session>();
  // The kernel refuses the option for IPv4.
  const server = host.includes(':') ? createSocket({ type: 'udp6', ipv6Only }) : createSocket('udp4');

  const end = (key: string, { socket, timer }: Session): void => {
    sessions.delete(key);
    clearTimeout(timer);
    socket.close();
  };
  const sessionOf = (client: { address: string; port: number }, towards: string): Socket | undefined => {
    const key = `${client.address} ${client.port}`;
    const known = sessions.get(key);
    if (known !== undefined) {
      known.timer.refresh();
      return known.socket;
    }
    if (sessions.size >= SESSIONS) return undefined;
    const socket = createSocket(towards.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => end(key, { socket, timer }), IDLE_MS);
    timer.unref();
    socket.unref();
    socket.on('error', () => {});
    socket.on('message', (data) => server.send(data, client.port, client.address));
    sessions.set(key, { socket, timer });
    return socket;
  };
  server.on('message', (data, client) => {
    if (target === undefined) return;
    reached(client.address);
    sessionOf(client, target.host)?.send(data, target.port, target.host);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      server.close();
      reject(error);
    });
    server.bind({ port, address: host, exclusive: true }, () => resolve());
  });
  server.removeAllListeners('error');
  server.on('error', () => {});
  server.unref();
  return {
    port: server.address().port,
    target(address, containerPort) {
      target = { host: address, port: containerPort };
    },
    close() {
      server.close();
      for (const [key, session] of sessions) end(key, session);
    },
  };
}
