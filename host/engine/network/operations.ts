// What users do with networks: make, find, remove them, and put containers into them.
import { GantryError } from '../../errors.ts';
import type { EndpointConfig } from '../../types.ts';
import type { Container } from '../container.ts';
import type { Context } from '../context.ts';
import type { NetworkInput } from './definition.ts';
import { changeHosts, writeResolvConf } from './network-files.ts';
import { checkEndpoint, SHARED } from './options.ts';
import { RESOLVER } from './plan-network.ts';
import type { NetworkEntry } from './registry.ts';

export interface NetworkOperations {
  find(name: string): NetworkEntry;
  list(): NetworkEntry[];
  /** @returns its ID, and what does not work as it should. @throws {GantryError} */
  create(input: NetworkInput): Promise<{ id: string; warnings: string[] }>;
  /** @throws {GantryError} NETWORK_NOT_FOUND, PERMISSION_DENIED. */
  remove(name: string): Promise<void>;
  /** One that rests is in it from its next start on. @throws {GantryError} */
  connect(container: Container, network: string, endpoint: EndpointConfig): Promise<void>;
  /** @throws {GantryError} */
  disconnect(container: Container, network: string): Promise<void>;
}

export function createNetworkOperations({ networks, events, backend }: Context): NetworkOperations {
  const { registry } = networks;
  const emit = (action: string, { id, name, driver }: NetworkEntry, more: Record<string, string> = {}): void =>
    events.emit('network', action, id, { name, type: driver, ...more });

  /** Resolver and /etc/hosts of a running container. */
  const rewriteFiles = ({ record, files }: Container, before: typeof record.endpoints): void => {
    const { config, endpoints } = record;
    const added = Object.values(endpoints).filter(({ network }) => !Object.hasOwn(before, network));
    const left = Object.values(before).filter(({ network }) => !Object.hasOwn(endpoints, network));
    changeHosts(files, config, added, left);
    const user = (among: typeof endpoints): boolean =>
      Object.values(among).some(({ network }) => registry.find(network).segment?.record !== undefined);
    if (user(before) !== user(endpoints))
      writeResolvConf(
        files,
        config,
        Object.values(endpoints),
        user(endpoints) ? RESOLVER : undefined,
        backend.hostPlace,
      );
  };

  const checkConnect = ({ record }: Container, { name }: NetworkEntry): void => {
    const { networkMode, networks: mine = {} } = record.config.host;
    if (name === 'host') throw new GantryError('INVALID_ARGUMENT', SHARED.host!);
    if (networkMode === 'host' || networkMode.startsWith('container:'))
      throw new GantryError('INVALID_ARGUMENT', SHARED.container!);
    if (networkMode === 'none' || name === 'none') throw new GantryError('INVALID_ARGUMENT', SHARED.none!);
    if (Object.hasOwn(mine, name))
      throw new GantryError(
        'PERMISSION_DENIED',
        `Endpoint with name ${record.name} already exists in network ${name}`,
        {
          hint: 'The container is in it already',
        },
      );
  };

  return {
    find: (name) => registry.find(name),
    list: () => registry.list(),
    async create(input) {
      const { segment, trouble } = await registry.create(input);
      emit('create', registry.find(segment.id));
      return { id: segment.id, warnings: trouble === '' ? [] : [`Nothing leaves the bridge: ${trouble}`] };
    },
    async remove(name) {
      const entry = registry.find(name);
      await registry.remove(entry);
      emit('destroy', entry);
    },
    connect: (container, name, endpoint) =>
      container.exclusively(async () => {
        const entry = registry.find(name);
        checkEndpoint(entry.name, endpoint);
        if (entry.name === 'bridge' && endpoint.links !== undefined)
          throw new GantryError('INVALID_ARGUMENT', 'Links can be added to user-defined networks only', {
            hint: 'On the default bridge a container has them from its creation on: --link',
          });
        checkConnect(container, entry);
        const { record } = container;
        if (container.running !== undefined) {
          const before = { ...record.endpoints };
          await networks.connect(record, entry.segment!, endpoint, container.save);
          rewriteFiles(container, before);
        }
        record.config.host.networks = { ...record.config.host.networks, [entry.name]: endpoint };
        container.save();
        if (container.running !== undefined) emit('connect', entry, { container: record.id });
      }),
    disconnect: (container, name) =>
      container.exclusively(async () => {
        const entry = registry.find(name);
        const { record } = container;
        const { networkMode, networks: mine = {} } = record.config.host;
        if (entry.name === 'host' && networkMode === 'host')
          throw new GantryError(
            'INVALID_ARGUMENT',
            'Cannot disconnect container from host network - container was created in host network mode',
          );
        if (!Object.hasOwn(mine, entry.name))
          throw new GantryError(
            'PERMISSION_DENIED',
            `Container ${record.name} is not connected to the network ${entry.name}`,
          );
        const rest = { ...mine };
        delete rest[entry.name];
        if (container.running !== undefined && entry.segment !== undefined) {
          const before = { ...record.endpoints };
          await networks.disconnect(record, entry.segment, container.save);
          rewriteFiles(container, before);
        }
        delete record.endpoints[entry.name];
        record.config.host.networks = rest;
        container.save();
        emit('disconnect', entry, { container: record.id });
      }),
  };
}
