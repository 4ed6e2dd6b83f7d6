// The networks of this engine: the default bridge, host and none, and those that users define.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../backend.ts';
import { GantryError } from '../../errors.ts';
import { newId } from '../names.ts';
import { readRecords, writeRecord } from '../state/state-store.ts';
import { newSubnet6, overlaps, overlaps6, parseSubnet, parseSubnet6, toText } from './addresses.ts';
import { chooseSubnet, createBridge, createDefaultBridge, poolOverlap } from './bridge.ts';
import {
  checkNetworkInput,
  interfaceOf,
  type NetworkInput,
  type NetworkRecord,
  networkOf,
  type Pool,
  settlePool,
} from './definition.ts';
import { networkNotFound } from './plan-network.ts';
import { createSegment, type Segment } from './segment.ts';

export type Predefined = 'bridge' | 'host' | 'none';
const predefined: Predefined[] = ['bridge', 'host', 'none'];

/** What there is of a network, whatever its kind. */
export interface NetworkEntry {
  id: string;
  name: string;
  driver: 'bridge' | 'host' | 'null';
  /** Absent: host and none have no interface of their own. */
  segment?: Segment;
}

export interface Registry {
  readonly damaged: string[];
  /** By ID, name, or unique beginning of an ID. @throws {GantryError} NETWORK_NOT_FOUND, INVALID_ARGUMENT. */
  find(name: string): NetworkEntry;
  list(): NetworkEntry[];
  /** Once, when the engine starts: removes what an earlier one was making or removing when it died. */
  restore(): Promise<void>;
  /** Makes bridge and rules at once: from here on the subnet is its own. @throws {GantryError} */
  create(input: NetworkInput): Promise<{ segment: Segment; trouble: string }>;
  /** @throws {GantryError} PERMISSION_DENIED for predefined networks and where containers are in it. */
  remove(entry: NetworkEntry): Promise<void>;
}

export function createRegistry(backend: Backend, dataRoot: string): Registry {
  const directory = join(dataRoot, 'networks');
  const { records, damaged } = readRecords<NetworkRecord>(directory, 'network.json');
  const idOf = (name: string): string => createHash('sha256').update(`${dataRoot} ${name}`).digest('hex');
  const host: NetworkEntry = { id: idOf('host'), name: 'host', driver: 'host' };
  const none: NetworkEntry = { id: idOf('none'), name: 'none', driver: 'null' };
  const segments = new Map<string, Segment>();
  /** Names and pools that a creation under way has taken. */
  const coming = new Set<NetworkRecord>();

  const forget = (id: string): void => rmSync(join(directory, id), { recursive: true, force: true });
  // Half made or half removed when an engine died.
  for (const id of readdirSync(directory)) if (!existsSync(join(directory, id, 'network.json'))) forget(id);

  const save = (record: NetworkRecord): void => writeRecord(join(directory, record.id, 'network.json'), record);

  const known = (): NetworkRecord[] => [...[...segments.values()].flatMap(({ record }) => record ?? []), ...coming];
  const subnets = () => known().map(({ four }) => parseSubnet(four.subnet));
  const segmentOf = (record: NetworkRecord): Segment => {
    const bridge = createBridge(backend, dataRoot, networkOf(record));
    return createSegment(backend, { id: record.id, name: record.name, record, bridge });
  };
  const bridge = createSegment(backend, {
    id: idOf('bridge'),
    name: 'bridge',
    bridge: createDefaultBridge(backend, dataRoot, subnets),
  });
  segments.set('bridge', bridge);
  for (const record of records) if (record.changing !== true) segments.set(record.name, segmentOf(record));

  const list = (): NetworkEntry[] => [
    ...[...segments.values()].map(
      (segment): NetworkEntry => ({ id: segment.id, name: segment.name, driver: 'bridge', segment }),
    ),
    host,
    none,
  ];

  const settleFour = async (pool: Pool | undefined): Promise<Pool> => {
    const { subnet: own } = await bridge.preview();
    if (pool === undefined || pool.subnet === '') {
      const { base, prefixLength } = chooseSubnet([own, ...subnets()]);
      return settlePool(pool ?? NO_POOL, `${toText(base)}/${prefixLength}`);
    }
    if ([own, ...subnets()].some((other) => overlaps(other, parseSubnet(pool.subnet)))) throw poolOverlap(pool.subnet);
    return settlePool(pool);
  };
  const settleSix = (pool: Pool | undefined): Pool => {
    const wanted = pool ?? { ...NO_POOL, subnet: newSubnet6() };
    const subnet = parseSubnet6(wanted.subnet);
    if (known().some(({ six }) => six !== undefined && overlaps6(parseSubnet6(six.subnet), subnet)))
      throw poolOverlap(wanted.subnet);
    return settlePool(wanted);
  };

  return {
    damaged,
    list,
    async restore() {
      for (const record of records.filter(({ changing }) => changing === true)) {
        // Where that fails the next engine tries again.
        await segmentOf(record)
          .remove()
          .then(() => forget(record.id))
          .catch(() => {});
      }
    },
    find(name) {
      const all = list();
      const exact = all.find(({ id }) => id === name) ?? all.find((entry) => entry.name === name);
      if (exact !== undefined) return exact;
      const near = /^[a-f0-9]+$/.test(name) ? all.filter(({ id }) => id.startsWith(name)) : [];
      if (near.length > 1)
        throw new GantryError(
          'INVALID_ARGUMENT',
          `Network ${name} is ambiguous (${near.length} matches found based on ID prefix)`,
          {
            hint: 'Give more digits',
          },
        );
      if (near[0] === undefined) throw networkNotFound(name);
      return near[0];
    },
    async create(input) {
      checkNetworkInput(input);
      const { pools, ...rest } = input;
      const four = await settleFour(pools.find(({ subnet }) => !subnet.includes(':')));
      // From here to `coming` nothing is waited for: names and pools are looked at and taken at once.
      if (known().some(({ name }) => name === input.name))
        throw new GantryError('NAME_IN_USE', `Network with name ${input.name} already exists`, {
          hint: `Choose another name, or remove that one: gantry network rm ${input.name}`,
        });
      if (known().some((other) => overlaps(parseSubnet(other.four.subnet), parseSubnet(four.subnet))))
        throw poolOverlap(four.subnet);
      const six = input.ipv6 ? settleSix(pools.find(({ subnet }) => subnet.includes(':'))) : undefined;
      const record: NetworkRecord = {
        version: 1,
        id: newId(),
        created: new Date().toISOString(),
        ...rest,
        four,
        ...(six === undefined ? {} : { six }),
      };
      const name = interfaceOf(record);
      const taken = known().some((other) => interfaceOf(other) === name);
      coming.add(record);
      try {
        if (taken || networkInterfaces()[name] !== undefined || (await backend.interfaceIndex(name)) !== undefined)
          throw new GantryError(
            'PERMISSION_DENIED',
            `Cannot make the bridge "${name}": there is an interface of that name`,
            {
              hint: 'Choose another one',
            },
          );
        const segment = segmentOf(record);
        // Noted first: an engine that dies meanwhile leaves no bridge that nobody knows.
        mkdirSync(join(directory, record.id), { recursive: true, mode: 0o700 });
        save({ ...record, changing: true });
        const { trouble } = await segment.ensure().catch(async (error: unknown) => {
          forget(record.id);
          throw error;
        });
        save(record);
        segments.set(record.name, segment);
        return { segment, trouble };
      } finally {
        coming.delete(record);
      }
    },
    async remove({ name, segment }) {
      if (predefined.includes(name as Predefined) || segment === undefined)
        throw new GantryError('PERMISSION_DENIED', `${name} is a pre-defined network and cannot be removed`);
      if (segment.members.size > 0) {
        const users = [...segment.members.values()].map(
          ({ record }) => `name:"${record.name}" id:"${record.id.slice(0, 12)}"`,
        );
        throw new GantryError(
          'PERMISSION_DENIED',
          `Error while removing network: network ${name} has active endpoints (${users.join(', ')})`,
          { hint: 'Stop those containers, or disconnect them: gantry network disconnect' },
        );
      }
      segments.delete(name);
      const { record } = segment;
      try {
        if (record !== undefined) save({ ...record, changing: true });
        await segment.remove();
      } catch (error) {
        segments.set(name, segment);
        if (record !== undefined) save(record);
        throw error;
      }
      forget(segment.id);
    },
  };
}

const NO_POOL: Pool = { subnet: '', range: '', gateway: '', auxiliary: {} };
