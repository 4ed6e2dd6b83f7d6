// Published ports as this process holds them: bound, so that nobody else can have them, and carried where the kernel does not.
import { GantryError } from '../../errors.ts';
import type { PortBinding } from '../../types.ts';
import { holdTcp } from './carry-tcp.ts';
import { holdUdp } from './carry-udp.ts';
import type { Held, Place, Way } from './held-port.ts';

export interface ReservedPort {
  /** As given, with the host port that it got. */
  binding: PortBinding;
  /** Where the container listens; told once it has an address. */
  target(address: string): void;
  close(): void;
}

/** Told of what reached this process, by the client's address: the kernel should have carried it, or could not. */
export type Reached = (client: string, binding: PortBinding) => void;

/** Binds every port, or none. Host port 0 becomes a free one, of a range the first free one. @throws {GantryError} PORT_IN_USE. */
export async function reservePorts(bindings: PortBinding[], reached: Reached, way: Way): Promise<ReservedPort[]> {
  const reserved = new Map<PortBinding, ReservedPort>();
  try {
    // Who has a choice comes after who has none.
    for (const binding of bindings.toSorted((a, b) => choices(a) - choices(b)))
      reserved.set(binding, await reservePort(binding, reached, way));
    return bindings.map((binding) => reserved.get(binding)!);
  } catch (error) {
    for (const port of reserved.values()) port.close();
    throw error;
  }
}

function choices({ hostPort, hostPortLast = hostPort }: PortBinding): number {
  return hostPort === 0 ? Number.POSITIVE_INFINITY : hostPortLast - hostPort;
}

export async function reservePort(binding: PortBinding, reached: Reached, way: Way): Promise<ReservedPort> {
  const { protocol, containerPort, hostIp, hostPort, hostPortLast = hostPort } = binding;
  if (protocol === 'sctp')
    throw new GantryError('UNSUPPORTED', `Cannot publish ${containerPort}/sctp: only tcp and udp are supported`);
  const hold = protocol === 'tcp' ? holdTcp : holdUdp;
  for (let port = hostPort; ; port++) {
    try {
      const held = await holdAt(hold, hostIp, port, (client) => reached(client, binding), way);
      const { hostPortLast: _range, ...settled } = binding;
      return {
        binding: { ...settled, hostPort: held.port },
        target: (address) => held.target(address, containerPort),
        close: held.close,
      };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE' && port < hostPortLast) continue;
      throw refused({ ...binding, hostPort: port }, cause as NodeJS.ErrnoException);
    }
  }
}

type Hold = (place: Place, reached: (client: string) => void, way: Way) => Promise<Held>;

async function holdAt(
  hold: Hold,
  hostIp: string,
  port: number,
  reached: (client: string) => void,
  way: Way,
): Promise<Held> {
  if (hostIp !== '') return hold({ host: hostIp, port, ipv6Only: true }, reached, way);
  try {
    return await hold({ host: '::', port, ipv6Only: false }, reached, way);
  } catch (error) {
    // A kernel without IPv6.
    if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return hold({ host: '0.0.0.0', port, ipv6Only: false }, reached, way);
  }
}

function refused(binding: PortBinding, cause: NodeJS.ErrnoException): GantryError {
  const { hostIp, hostPort, protocol } = binding;
  const address = `${hostIp.includes(':') ? `[${hostIp}]` : hostIp || '0.0.0.0'}:${hostPort}`;
  if (cause.code === 'EADDRINUSE')
    return new GantryError('PORT_IN_USE', `Bind for ${address} failed: port is already allocated`, {
      hint: `Another program or container has ${hostPort}/${protocol}; choose another port, or leave it out for a free one: -p ${binding.containerPort}`,
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
