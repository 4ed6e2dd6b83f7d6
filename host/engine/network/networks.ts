// A container's place in the networks: which namespace, which addresses, which published ports. Read this file first.
import type { Backend } from '../../backend.ts';
import { planPublish, planUnlink, planUnpublish, planWire } from '../../core/network-plans.ts';
import { readProgram } from '../../core/program.ts';
import { GantryError } from '../../errors.ts';
import type { PlanNetwork } from '../../plan-types.ts';
import type { ContainerConfig, EndpointConfig, PortBinding } from '../../types.ts';
import type { ContainerFiles } from '../state/layout.ts';
import type { ContainerRecord, Endpoint } from '../record.ts';
import { createAllocation } from './allocation.ts';
import { carriedPorts, firewallOf } from './carried-ports.ts';
import {
  type Find,
  gatewaysOf,
  hostNameOf,
  linkOf,
  networkNotFound,
  type Placed,
  privateNetwork,
  resolverOf,
  wantedPorts,
  withoutBridge,
} from './plan-network.ts';
import { createRegistry, type Registry } from './registry.ts';
import { type ReservedPort, reservePort, reservePorts } from './reserved-ports.ts';
import { createResolvers } from './resolvers.ts';
import { endpointOf, type Member, type Segment } from './segment.ts';

export { privateSysctls } from './plan-network.ts';

export interface Attachment {
  network: PlanNetwork;
  endpoints: Record<string, Endpoint>;
  ports: PortBinding[];
  /** Name of the network that the ports lead to. */
  publishedBy?: string;
  /** What does not work as it should, sentences for the user. */
  warnings: string[];
}

export interface Networks {
  readonly registry: Registry;
  /** Allocates what a start needs; `release` undoes it. @throws {GantryError} NETWORK_NOT_FOUND, PORT_IN_USE. */
  attach(record: ContainerRecord, find: Find): Promise<Attachment>;
  /** Once its supervisor is there: answers its questions for names, as long as it runs. */
  serve(record: ContainerRecord): void;
  /** What `attach` would give, for a plan that is only shown: nothing is allocated, the first address is taken. */
  preview(record: ContainerRecord, find: Find): Promise<PlanNetwork>;
  /** What tear-down needs to know of a container that an earlier engine started. */
  recorded(record: ContainerRecord): Pick<PlanNetwork, 'firewall'>;
  /** Once, when the engine starts: takes up what these have that may still run, and puts the rules of all in force. */
  restore(records: ContainerRecord[]): Promise<void>;
  /** After a failed start: true where the rules were gone (nft flush ruleset) and are there again. */
  repair(setup: Uint8Array, error: unknown): Promise<boolean>;
  /** Makes ready what a start of this container will need; gives the warnings that can be told already. Never rejects. */
  prepare(config: ContainerConfig): Promise<string[]>;
  /**
   * Puts a running container into one more network; its record says so afterwards, and before that it is on its way.
   * @param save keeps the record. @throws {GantryError}
   */
  connect(record: ContainerRecord, segment: Segment, wanted: EndpointConfig, save: () => void): Promise<void>;
  /** Takes a running container out of a network. */
  disconnect(record: ContainerRecord, segment: Segment, save?: () => void): Promise<void>;
  release(record: ContainerRecord): Promise<void>;
  /** Lets go; published ports stay. @param unused no container runs any more: bridges and rules are removed. */
  close(unused: boolean): Promise<void>;
}

const NETLINK_NETFILTER = 12n;
/** Not more often are the rules put in force again because something reached the engine instead. */
const REPAIR_EVERY_MS = 5000;
/** Indices of interfaces that come later lie beyond those of a container's own. */
const LATER_INDEX = 100;

interface Joined extends Placed {
  segment: Segment;
  member: Member;
  trouble: string;
}

export function createNetworks(backend: Backend, dataRoot: string, files: (id: string) => ContainerFiles): Networks {
  const registry = createRegistry(backend, dataRoot);
  const reserved = new Map<string, ReservedPort[]>();
  let repairedAt = 0;

  const bridges = (): Segment[] => registry.list().flatMap(({ segment }) => segment ?? []);
  const segmentOf = (name: string): Segment => {
    const found = bridges().find((segment) => segment.name === name);
    if (found === undefined) throw networkNotFound(name);
    return found;
  };
  const resolvers = createResolvers(backend, bridges, (record) => files(record.id));
  /** The network that the mode names comes first: its interface is eth0. */
  const wantedOf = ({
    networkMode,
    networks = { [networkMode]: { aliases: [] } },
  }: ContainerConfig['host']): [string, EndpointConfig][] =>
    Object.entries(networks).toSorted(([a], [b]) => Number(b === networkMode) - Number(a === networkMode));
  const memberOf = (id: string): Member[] => bridges().flatMap(({ members }) => members.get(id) ?? []);

  const repairNow = async (): Promise<boolean> => {
    repairedAt = Date.now();
    const used = bridges().filter(({ members }) => members.size > 0);
    return (await Promise.all(used.map((segment) => segment.repair()))).every(Boolean);
  };

  /** Something came to this process: where the kernel should have carried it, its rules are gone. */
  const reached = (id: string) => (client: string) => {
    if (!backend.capabilities.outlivesEngine) return; // The containers' kernel is not this host's: all is carried here.
    const carried = memberOf(id).flatMap((member) => member.carried);
    const six = client.includes(':') && !client.startsWith('::ffff:');
    if (client === '::1' || !carried.some(({ address }) => address.includes(':') === six)) return;
    if (Date.now() - repairedAt > REPAIR_EVERY_MS) repairNow().catch(() => {});
  };

  const attachBridges = async (record: ContainerRecord): Promise<Attachment> => {
    const wanted = wantedOf(record.config.host).map(([name, config]) => ({ segment: segmentOf(name), config }));
    const ready = Promise.all(wanted.map(({ segment }) => segment.ensure()));
    ready.catch(() => {});
    const leading = wanted.filter(({ segment }) => segment.record?.internal !== true);
    const hostIp = leading.length === 1 ? hostIpOf(leading[0]!.segment) : '';
    const early = leading.length < 2 ? await reserve(record, leading.length > 0, hostIp) : undefined;
    const networks = await ready;
    const joined = wanted.map(({ segment, config }, index): Joined => {
      const { network, trouble } = networks[index]!;
      const member = segment.join(record, config, network);
      Object.assign(member.endpoint, { interfaceName: `eth${index}`, interfaceIndex: index + 2 });
      return { segment, member, network, trouble, endpoint: member.endpoint, wanted: config };
    });
    const gateway = gatewaysOf(joined).four;
    const held = early ?? (await reserve(record, gateway !== undefined, gateway?.network.hostIp ?? ''));
    const ports = held.map(({ binding }) => binding);
    if (gateway !== undefined) {
      for (const port of held) port.target(gateway.endpoint.ipv4);
      if (gateway.trouble === '') gateway.member.carried = carriedPorts(ports, gateway.endpoint, record.id);
    }
    const user = joined.some(({ segment }) => segment.record !== undefined);
    const trouble = joined.find((place) => place.trouble !== '')?.trouble ?? '';
    return {
      network: privateNetwork({
        places: joined,
        carried: gateway?.member.carried ?? [],
        resolver: user ? resolverOf(files(record.id).resolver, record.id, trouble === '') : undefined,
      }),
      endpoints: Object.fromEntries(joined.map(({ segment, endpoint }) => [segment.name, endpoint])),
      ports,
      ...(gateway === undefined || ports.length === 0 ? {} : { publishedBy: gateway.segment.name }),
      warnings: warningsOf(trouble),
    };
  };

  /** Host ports are bound while the networks are made ready. */
  const reserve = async (record: ContainerRecord, leads: boolean, hostIp: string): Promise<ReservedPort[]> => {
    const wanted = leads ? wantedPorts(record.config, hostIp) : [];
    const held = await reservePorts(wanted, reached(record.id), backend);
    reserved.set(record.id, held);
    return held;
  };

  const placesOf = async (record: ContainerRecord): Promise<Joined[]> =>
    Promise.all(
      bridges()
        .filter(({ members }) => members.has(record.id))
        .map(async (segment): Promise<Joined> => {
          const member = segment.members.get(record.id)!;
          const { network, trouble } = await segment.ensure();
          const wanted = record.config.host.networks?.[segment.name] ?? { aliases: [] };
          return { segment, member, network, trouble, endpoint: member.endpoint, wanted };
        }),
    );

  /** Published ports follow the default route. */
  const movePorts = async (
    record: ContainerRecord,
    from: Joined | undefined,
    to: Joined | undefined,
  ): Promise<void> => {
    const facts = await backend.facts();
    if (from !== undefined && from.member.carried.length > 0) {
      const ports = from.member.carried;
      from.member.carried = [];
      await backend.run(planUnpublish(facts, { table: from.segment.table, ports }));
    }
    delete record.publishedBy;
    if (to === undefined || record.ports.length === 0) return;
    record.publishedBy = to.segment.name;
    for (const port of reserved.get(record.id) ?? []) port.target(to.endpoint.ipv4);
    if (to.trouble !== '') return;
    Object.assign(to.member, { carried: carriedPorts(record.ports, to.endpoint, record.id), rewritten: true });
    await backend.run(planPublish(facts, { table: to.segment.table, ports: to.member.carried }));
  };

  return {
    registry,
    async attach(record, find) {
      const network = withoutBridge(record.config, find);
      return network === undefined ? attachBridges(record) : { endpoints: {}, ports: [], warnings: [], network };
    },
    serve: (record) => resolvers.serve(record),
    async preview(record, find) {
      const { host } = record.config;
      const other = withoutBridge(record.config, find);
      if (other !== undefined) return other;
      const places = await Promise.all(
        wantedOf(host).map(async ([name, wanted], index): Promise<Placed> => {
          const segment = segmentOf(name);
          const network = await segment.preview();
          const addresses = createAllocation().take(record.id, wanted, undefined, network);
          const endpoint = endpointOf(segment.id, name, wanted, addresses, network);
          const shown = { endpointId: record.id, interfaceName: `eth${index}`, interfaceIndex: index + 2 };
          return { network, endpoint: { ...endpoint, ...shown }, wanted };
        }),
      );
      const { four } = gatewaysOf(places);
      const ports = four === undefined ? [] : wantedPorts(record.config, four.network.hostIp);
      const user = wantedOf(host).some(([name]) => segmentOf(name).record !== undefined);
      return privateNetwork({
        places,
        carried: four === undefined ? [] : carriedPorts(ports, four.endpoint, record.id),
        resolver: user ? resolverOf(files(record.id).resolver, record.id, true) : undefined,
      });
    },
    recorded(record) {
      const published = bridges().find(({ name }) => name === record.publishedBy);
      const firewall = published === undefined ? undefined : firewallOf(record, published.table);
      return firewall === undefined ? {} : { firewall };
    },
    async restore(records) {
      await registry.restore();
      const used = new Set<Segment>();
      for (const record of records)
        for (const segment of bridges()) {
          const endpoint = record.endpoints[segment.name];
          if (endpoint === undefined || endpoint.networkId !== segment.id) continue;
          const published = record.publishedBy === segment.name;
          segment.keep(record, published ? carriedPorts(record.ports, endpoint, record.id) : []);
          used.add(segment);
        }
      await Promise.all([...used].map((segment) => segment.ensure()));
      // One that another program took meanwhile stays with the kernel's rules; that is no reason to give up the container.
      for (const record of records) {
        const held: ReservedPort[] = [];
        for (const binding of record.ports) {
          const port = await reservePort(binding, reached(record.id), backend).catch(() => undefined);
          port?.target(record.endpoints[record.publishedBy ?? '']?.ipv4 ?? '');
          if (port !== undefined) held.push(port);
        }
        reserved.set(record.id, held);
      }
    },
    async repair(setup, error) {
      const op = error instanceof GantryError ? error.details?.op : undefined;
      const failed = typeof op === 'number' ? readProgram(setup).ops[op] : undefined;
      const [protocol] = failed?.operands ?? [];
      if (failed?.name !== 'netlink' || protocol?.kind !== 'number' || protocol.value !== NETLINK_NETFILTER)
        return false;
      return repairNow();
    },
    async prepare({ host }) {
      if (host.networkMode === 'host' && host.ports.length > 0)
        return ['Published ports are discarded when using host network mode'];
      try {
        const ready = await Promise.all(wantedOf(host).map(([name]) => segmentOf(name).ensure()));
        const lost = host.ports.length > 0 && ready.every(({ network }) => network.internal);
        return [
          ...warningsOf(ready.find(({ trouble }) => trouble !== '')?.trouble ?? ''),
          ...(lost ? ['Published ports are discarded: none of the networks leads out'] : []),
        ];
      } catch {
        return [];
      }
    },
    async connect(record, segment, wanted, save) {
      const before = gatewaysOf(await placesOf(record));
      const { network, trouble } = await segment.ensure();
      const known = memberOf(record.id);
      const member = segment.join(record, wanted, network);
      const { endpoint } = member;
      const taken = known.map((other) => other.endpoint.interfaceName);
      const place = Array.from({ length: taken.length + 1 }, (_, index) => index).find(
        (index) => !taken.includes(`eth${index}`),
      )!;
      Object.assign(endpoint, { interfaceName: `eth${place}`, interfaceIndex: LATER_INDEX + place });
      const added: Joined = { segment, member, network, trouble, endpoint, wanted };
      const priority = ({ wanted: { gatewayPriority = 0 } }: Placed): number => gatewayPriority;
      // The default route stays where it is unless the new network asks for it: connections would break.
      const takes = (old: Joined | undefined): boolean =>
        !network.internal && (old === undefined || priority(added) > priority(old));
      const routes = [
        ...(takes(before.four) ? [endpoint.gateway] : []),
        ...(endpoint.ipv6 !== '' && takes(before.six) ? [endpoint.ipv6Gateway] : []),
      ].map((gateway) => ({ index: endpoint.interfaceIndex, gateway }));
      const paths = files(record.id);
      const needed = segment.record !== undefined && !resolvers.serves(record.id);
      try {
        const facts = await backend.facts();
        const wiring = {
          removed: [],
          interfaces: [linkOf(added, [], record.ports.length > 0, true)],
          routes,
          ...(needed ? { resolver: resolverOf(paths.resolver, record.id, trouble === '') } : {}),
        };
        record.endpoints[segment.name] = { ...endpoint, changing: true };
        save();
        await backend.wire(paths.controlSocket, planWire(facts, wiring));
        if (takes(before.four)) await movePorts(record, before.four, added);
      } catch (error) {
        await backend.run(planUnlink(await backend.facts(), [hostNameOf(endpoint)])).catch(() => {});
        await segment.leave(record.id);
        delete record.endpoints[segment.name];
        save();
        throw error;
      }
      record.endpoints[segment.name] = endpoint;
      if (segment.record !== undefined) resolvers.serve(record);
    },
    async disconnect(record, segment, save = () => {}) {
      const places = await placesOf(record);
      const before = gatewaysOf(places);
      const leaving = places.find((place) => place.segment === segment);
      if (leaving === undefined) return;
      record.endpoints[segment.name] = { ...leaving.endpoint, changing: true };
      save();
      const after = gatewaysOf(places.filter((place) => place !== leaving));
      const routes = [
        ...(before.four === leaving && after.four
          ? [{ index: after.four.endpoint.interfaceIndex, gateway: after.four.endpoint.gateway }]
          : []),
        ...(before.six === leaving && after.six
          ? [{ index: after.six.endpoint.interfaceIndex, gateway: after.six.endpoint.ipv6Gateway }]
          : []),
      ];
      const wiring = { removed: [hostNameOf(leaving.endpoint)], interfaces: [], routes };
      try {
        if (before.four === leaving) await movePorts(record, leaving, after.four);
        await backend.wire(files(record.id).controlSocket, planWire(await backend.facts(), wiring));
      } catch (error) {
        record.endpoints[segment.name] = leaving.endpoint;
        save();
        throw error;
      }
      delete record.endpoints[segment.name];
      await segment.leave(record.id);
    },
    async release({ id }) {
      resolvers.leave(id);
      for (const port of reserved.get(id) ?? []) port.close();
      reserved.delete(id);
      for (const segment of bridges()) if (segment.members.has(id)) await segment.leave(id);
    },
    async close(unused) {
      resolvers.close();
      for (const port of [...reserved.values()].flat()) port.close();
      if (unused) for (const segment of bridges()) await segment.remove();
    },
  };
}

function hostIpOf({ record }: Segment): string {
  return record?.options['com.docker.network.bridge.host_binding_ipv4'] ?? '';
}

function warningsOf(trouble: string): string[] {
  return trouble === '' ? [] : [`Nothing leaves the bridge, and published ports rest without an engine: ${trouble}`];
}
