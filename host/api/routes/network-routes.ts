// /networks: list, create, inspect, remove, prune, connect, disconnect.
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import { readEndpoint } from '../fields/endpoint-fields.ts';
import { type Fields, readFields } from '../fields/fields.ts';
import { anyOf, type Filters, matchesLabels, readFilters } from '../fields/filters.ts';
import { type Call, type Route, readJson, sendJson, sendNothing } from '../http.ts';
import { type Network, networkJson, readNetwork } from '../json/network-json.ts';
import { readNetworkBody } from '../fields/network-fields.ts';
import { parseTimeOrDuration } from '../json/times.ts';

const listFilters = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];

export function networkRoutes(engine: Engine): Route[] {
  const { networks } = engine;
  const all = (): Promise<Network[]> => Promise.all(networks.list().map((entry) => readNetwork(entry)));

  const list = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), listFilters);
    const found = (await all()).filter((network) => matches(network, filters));
    sendJson(
      call,
      found.map((network) => networkJson(network, false)),
    );
  };

  const inspect = async (call: Call): Promise<void> => {
    const verbose = call.query.get('verbose') ?? '';
    if (!/^(|1|0|t|f|true|false)$/i.test(verbose))
      throw new GantryError('INVALID_ARGUMENT', `Invalid value for verbose: ${verbose}`);
    const scope = call.query.get('scope') ?? '';
    const network = networks.find(call.params.id!);
    if (!['', 'local'].includes(scope))
      throw new GantryError('NETWORK_NOT_FOUND', `Network ${call.params.id} not found`, {
        hint: `It has the scope local, not ${scope}`,
      });
    sendJson(call, networkJson(await readNetwork(network), true));
  };

  const create = async (call: Call): Promise<void> => {
    const input = readNetworkBody(readFields(await readJson(call), ''), call.version);
    const { id, warnings } = await networks.create(input);
    sendJson(call, { Id: id, Warning: warnings.join('\n') }, 201);
  };

  const prune = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), ['label', 'label!', 'until']);
    if ((filters.until?.length ?? 0) > 1)
      throw new GantryError('INVALID_ARGUMENT', 'More than one until filter specified');
    const until = parseTimeOrDuration(filters.until?.[0] ?? '');
    const NetworksDeleted: string[] = [];
    for (const { name, record, members } of await all()) {
      const kept =
        record === undefined ||
        members.length > 0 ||
        !matchesLabels(record.labels, filters.label) ||
        (filters['label!'] ?? []).some((label) => matchesLabels(record.labels, [label])) ||
        (until !== undefined && BigInt(Date.parse(record.created)) * 1_000_000n > until);
      if (kept) continue;
      try {
        await networks.remove(name);
        NetworksDeleted.push(name);
      } catch {
        // A container has come into it meanwhile.
      }
    }
    engine.events.emit('network', 'prune', '', { reclaimed: '0' });
    sendJson(call, { NetworksDeleted: NetworksDeleted.length > 0 ? NetworksDeleted : null });
  };

  const change = async (call: Call, work: (fields: Fields, container: string) => Promise<void>): Promise<void> => {
    const fields = readFields(await readJson(call), '');
    const container = fields.text('Container');
    if (container === '') throw new GantryError('INVALID_ARGUMENT', 'Cannot change the network: no container is named');
    await work(fields, container);
    sendNothing(call, 200);
  };

  return [
    { method: 'GET', path: '/networks', handler: list },
    { method: 'POST', path: '/networks/create', handler: create },
    { method: 'POST', path: '/networks/prune', handler: prune },
    { method: 'GET', path: '/networks/:id', handler: inspect },
    {
      method: 'DELETE',
      path: '/networks/:id',
      handler: async (call) => {
        await networks.remove(call.params.id!);
        sendNothing(call);
      },
    },
    {
      method: 'POST',
      path: '/networks/:id/connect',
      handler: (call) =>
        change(call, async (fields, name) => {
          const endpoint = readEndpoint(fields.child('EndpointConfig'));
          fields.finish();
          networks.find(call.params.id!);
          await networks.connect(engine.find(name), call.params.id!, endpoint);
        }),
    },
    {
      method: 'POST',
      path: '/networks/:id/disconnect',
      handler: (call) =>
        change(call, async (fields, name) => {
          // Whether the container still answers: it is taken out either way.
          fields.flag('Force');
          fields.finish();
          networks.find(call.params.id!);
          await networks.disconnect(engine.find(name), call.params.id!);
        }),
    },
  ];
}

function matches({ id, name, driver, record, members }: Network, filters: Filters): boolean {
  const wrong = filters.type?.find((type) => !['custom', 'builtin'].includes(type));
  if (wrong !== undefined) throw new GantryError('INVALID_ARGUMENT', `Invalid filter: 'type'='${wrong}'`);
  const dangling = filters.dangling?.find((value) => !/^(1|0|true|false)$/.test(value));
  if (dangling !== undefined || (filters.dangling?.length ?? 0) > 1)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`,
    );
  return (
    anyOf(filters.driver, (wanted) => wanted === driver) &&
    anyOf(filters.id, (wanted) => id.includes(wanted)) &&
    anyOf(filters.name, (wanted) => name.includes(wanted)) &&
    anyOf(filters.scope, (wanted) => wanted === 'local') &&
    anyOf(filters.type, (wanted) => (wanted === 'custom') === (record !== undefined)) &&
    anyOf(filters.dangling, (wanted) => {
      const unused = record !== undefined && members.length === 0;
      return /^(1|true)$/.test(wanted) ? unused : !unused;
    }) &&
    matchesLabels(record?.labels ?? {}, filters.label)
  );
}
