// Published ports: listened on by the engine and carried to the container, TCP and UDP.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { GantryError } from '../errors.ts';
import type { PortBinding } from '../types.ts';

export interface PublishedPort {
  binding: PortBinding;
  /** Where the container listens; told once it has an address. */
  target(address: string): void;
  close(): void;
}

/** Listens on every binding, or on none. Host port 0 becomes a free one. @throws {GantryError} PORT_IN_USE. */
export async function publishPorts(bindings: PortBinding[]): Promise<PublishedPort[]> {
  const opened: PublishedPort[] = [];
  try {
    for (const binding of bindings) opened.push(await openPort(binding));
    return opened;
  } catch (error) {
    for (const port of opened) port.close();
    throw error;
  }
}

function openPort(binding: PortBinding): Promise<PublishedPort> {
  if (binding.protocol === 'tcp') return openTcp(binding);
  if (binding.protocol === 'udp') return openUdp(binding);
  throw new GantryError('UNSUPPORTED', `Cannot publish ${binding.containerPort}/sctp: only tcp and udp are supported`);
}

function refused({ hostIp, hostPort, protocol }: PortBinding, cause: NodeJS.ErrnoException): GantryError {
  const address = `${hostIp || '0.0.0.0'}:${hostPort}`;
  if (cause.code === 'EADDRINUSE')
    return new GantryError('PORT_IN_USE', `Bind for ${address} failed: port is already allocated`, {
      hint: `Another program listens on ${hostPort}/${protocol}; choose another port, or leave it out for a free one: -p ${hostPort === 0 ? '' : ':'}CONTAINER_PORT`,
      cause,
    });
  const reasons: Record<string, string> = {
    EACCES: 'permission denied',
    EADDRNOTAVAIL: 'this host has no such address',
  };
  return new GantryError(
    'PORT_IN_USE',
    `Bind for ${address} failed: ${reasons[cause.code ?? ''] ?? cause.code ?? cause.message}`,
    { cause },
  );
}

async function openTcp(binding: PortBinding): Promise<PublishedPort> {
  let address: string | undefined;
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    if (address === undefined) {
      client.destroy();
      return;
    }
    const inner = connect({ host: address, port: binding.containerPort, allowHalfOpen: true });
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
  });
  const port = await listen(server, binding);
  server.unref();
  return {
    binding: { ...binding, hostPort: port },
    target: (found) => {
      address = found;
    },
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

function listen(server: Server, binding: PortBinding): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(refused(binding, error)));
    // "::" takes IPv4 too where the kernel has IPv6.
    const host = binding.hostIp === '' ? '::' : binding.hostIp;
    server.listen({ port: binding.hostPort, host, ipv6Only: false }, () =>
      resolve((server.address() as { port: number }).port),
    );
  });
}

const UDP_IDLE_MS = 60_000;

async function openUdp(binding: PortBinding): Promise<PublishedPort> {
  let address: string | undefined;
  const sessions = new Map<string, { socket: UdpSocket; timer: NodeJS.Timeout }>();
  const server = createSocket({
    type: binding.hostIp === '' || binding.hostIp.includes(':') ? 'udp6' : 'udp4',
    ipv6Only: false,
  });
  const sessionOf = (client: { address: string; port: number }): UdpSocket => {
    const key = `${client.address} ${client.port}`;
    const known = sessions.get(key);
    if (known !== undefined) {
      known.timer.refresh();
      return known.socket;
    }
    const socket = createSocket('udp4');
    const timer = setTimeout(() => {
      sessions.delete(key);
      socket.close();
    }, UDP_IDLE_MS);
    timer.unref();
    socket.unref();
    socket.on('error', () => {});
    socket.on('message', (data) => server.send(data, client.port, client.address));
    sessions.set(key, { socket, timer });
    return socket;
  };
  server.on('message', (data, client) => {
    if (address !== undefined) sessionOf(client).send(data, binding.containerPort, address);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(refused(binding, error)));
    server.bind(
      { port: binding.hostPort, address: binding.hostIp === '' ? '::' : binding.hostIp, exclusive: true },
      () => resolve(),
    );
  });
  server.on('error', () => {});
  server.unref();
  return {
    binding: { ...binding, hostPort: server.address().port },
    target: (found) => {
      address = found;
    },
    close() {
      server.close();
      for (const { socket, timer } of sessions.values()) {
        clearTimeout(timer);
        socket.close();
      }
    },
  };
}
