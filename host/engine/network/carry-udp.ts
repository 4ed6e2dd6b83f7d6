// A UDP port held by this process; each client gets a link of its own to the container, as long as it is used.
import { createSocket } from 'node:dgram';
import type { Held, Place, Way } from './held-port.ts';

const IDLE_MS = 60_000;
/** Clients at the same time: who forges source addresses does not take every fd. */
const SESSIONS = 1024;

interface Session {
  link: ReturnType<Way['exchange']>;
  timer: NodeJS.Timeout;
}

export async function holdUdp(
  { host, port, ipv6Only }: Place,
  reached: (client: string) => void,
  way: Way,
): Promise<Held> {
  let target: { host: string; port: number } | undefined;
  const sessions = new Map<string, Session>();
  // The kernel refuses the option for IPv4.
  const server = host.includes(':') ? createSocket({ type: 'udp6', ipv6Only }) : createSocket('udp4');

  const end = (key: string, { link, timer }: Session): void => {
    sessions.delete(key);
    clearTimeout(timer);
    link.close();
  };
  const linkTo = (
    client: { address: string; port: number },
    towards: { host: string; port: number },
  ): Session['link'] | undefined => {
    const key = `${client.address} ${client.port}`;
    const known = sessions.get(key);
    if (known !== undefined) {
      known.timer.refresh();
      return known.link;
    }
    if (sessions.size >= SESSIONS) return undefined;
    const answer = (data: Uint8Array): void => void server.send(data, client.port, client.address);
    const link = way.exchange(towards.host, towards.port, answer);
    const timer = setTimeout(() => end(key, { link, timer }), IDLE_MS);
    timer.unref();
    sessions.set(key, { link, timer });
    return link;
  };
  server.on('message', (data, client) => {
    if (target === undefined) return;
    reached(client.address);
    linkTo(client, target)?.send(data);
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
