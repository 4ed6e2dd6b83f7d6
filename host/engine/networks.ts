// A container's place in the networks: which namespace, which addresses, which published ports.
import { GantryError } from '../errors.ts';
import type { PlanNetwork } from '../plan-types.ts';
import type { PortBinding } from '../types.ts';
import type { ContainerRecord, Endpoint } from './record.ts';

export interface Attachment {
  network: PlanNetwork;
  endpoints: Record<string, Endpoint>;
  ports: PortBinding[];
}

export interface Networks {
  /** Allocates what a start needs. `release` undoes it. @throws {GantryError} NETWORK_NOT_FOUND, PORT_IN_USE. */
  attach(record: ContainerRecord, find: (name: string) => { id: string; pid: number }): Promise<Attachment>;
  /** Makes the ports of a started container reachable. */
  publish(record: ContainerRecord): Promise<void>;
  release(record: ContainerRecord): Promise<void>;
  close(): Promise<void>;
}

/** net.* that a network namespace of its own may have; docker's defaults since 20.10. */
export const privateSysctls = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};

export function createNetworks(): Networks {
  return {
    async attach({ config }, find) {
      const { networkMode } = config.host;
      const none = { endpoints: {}, ports: [] };
      if (networkMode === 'host') return { ...none, network: { mode: 'host', interfaces: [], sysctls: {} } };
      if (networkMode === 'none')
        return { ...none, network: { mode: 'none', interfaces: [], sysctls: privateSysctls } };
      const [, other] = /^container:(.+)$/.exec(networkMode) ?? [];
      if (other !== undefined)
        return { ...none, network: { mode: 'join', pid: find(other).pid, interfaces: [], sysctls: {} } };
      throw new GantryError('NETWORK_NOT_FOUND', `network ${networkMode} not found`);
    },
    async publish() {},
    async release() {},
    async close() {},
  };
}
