// Commands on networks.
import { GantryError } from '../../errors.ts';
import { type Command, MANY } from '../command.ts';
import { forEachName } from '../each.ts';
import { pairs, readLabels } from '../run/environment.ts';
import type { Flag, Parsed } from '../flags.ts';
import { filtersOf, formatRows, labelText, type Row, withLabels } from '../format/format.ts';
import { compileTemplate } from '../format/template.ts';

interface Network {
  Id: string;
  Name: string;
  Driver: string;
  Scope: string;
  Created: string;
  EnableIPv4: boolean;
  EnableIPv6: boolean;
  Internal: boolean;
  Labels: Record<string, string> | null;
}

const columns: [string, string][] = [
  ['NETWORK ID', 'ID'],
  ['NAME', 'Name'],
  ['DRIVER', 'Driver'],
  ['SCOPE', 'Scope'],
];

const rowOf = (network: Network, whole: boolean): Row => {
  const { Id, Name, Driver, Scope, Created, EnableIPv4, EnableIPv6, Internal, Labels } = network;
  const row = {
    ...{
      CreatedAt: Created,
      Driver,
      ID: whole ? Id : Id.slice(0, 12),
      IPv4: String(EnableIPv4),
      IPv6: String(EnableIPv6),
    },
    ...{ Internal: String(Internal), Labels: labelText(Labels), Name, Scope },
  };
  return withLabels(row, Labels);
};

const path = (name: string): string => `/networks/${encodeURIComponent(name)}`;

const ls: Command = {
  usage: '[OPTIONS]',
  summary: 'List networks',
  flags: [
    { name: 'filter', short: 'f', kind: 'list', value: 'filter', help: 'Provide filter values (e.g. "driver=bridge")' },
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
    { name: 'no-trunc', kind: 'switch', help: 'Do not truncate the output' },
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Only display network IDs' },
  ],
  args: [0, 0],
  async run(parsed, { api }) {
    const networks = await api.send<Network[]>('GET', '/networks', {
      query: { filters: filtersOf(parsed.list('filter')) },
    });
    const rows = networks
      .sort((a, b) => (a.Name < b.Name ? -1 : 1))
      .map((network) => rowOf(network, parsed.switch('no-trunc')));
    if (parsed.switch('quiet')) process.stdout.write(rows.map(({ ID }) => `${ID}\n`).join(''));
    else process.stdout.write(formatRows(rows, parsed.value('format'), columns));
    return 0;
  },
};

const createFlags: Flag[] = [
  { name: 'attachable', kind: 'switch', help: 'Enable manual container attachment' },
  { name: 'aux-address', kind: 'list', value: 'map', help: 'Auxiliary IPv4 or IPv6 addresses used by others' },
  { name: 'driver', short: 'd', kind: 'value', value: 'string', help: 'Driver to manage the network (only "bridge")' },
  { name: 'gateway', kind: 'list', value: 'strings', help: 'IPv4 or IPv6 gateway for the subnet' },
  { name: 'internal', kind: 'switch', help: 'Restrict external access to the network' },
  { name: 'ip-range', kind: 'list', value: 'strings', help: 'Allocate container IPs from a sub-range' },
  { name: 'ipam-driver', kind: 'value', value: 'string', help: 'IP address management driver (only "default")' },
  { name: 'ipv6', kind: 'switch', help: 'Enable IPv6 address assignment' },
  { name: 'label', kind: 'list', value: 'list', help: 'Set metadata on a network' },
  { name: 'opt', short: 'o', kind: 'list', value: 'map', help: 'Set driver specific options' },
  { name: 'subnet', kind: 'list', value: 'strings', help: 'Subnet in CIDR format that represents a network segment' },
  { name: 'config-from', kind: 'value', help: '', hidden: true, refused: 'give the configuration with each network' },
  { name: 'config-only', kind: 'switch', help: '', hidden: true, refused: 'give the configuration with each network' },
  { name: 'ingress', kind: 'switch', help: '', hidden: true, refused: 'gantry has no swarm' },
  { name: 'ipam-opt', kind: 'list', help: '', hidden: true, refused: 'the default driver has no options' },
  { name: 'ipv4', kind: 'switch', help: '', hidden: true },
  { name: 'scope', kind: 'value', help: '', hidden: true, refused: 'gantry has no swarm: every network is local' },
];

const create: Command = {
  usage: '[OPTIONS] NAME',
  summary: 'Create a network',
  flags: createFlags,
  args: [1, 1],
  async run(parsed, { api }) {
    const { Id, Warning } = await api.send<{ Id: string; Warning: string }>('POST', '/networks/create', {
      body: {
        Name: parsed.args[0],
        Driver: parsed.value('driver') ?? 'bridge',
        Internal: parsed.switch('internal'),
        Attachable: parsed.switch('attachable'),
        EnableIPv6: parsed.switch('ipv6'),
        ...(parsed.has('ipv4') ? { EnableIPv4: parsed.switch('ipv4') } : {}),
        Options: pairs(parsed.list('opt')),
        Labels: readLabels([], parsed.list('label')),
        IPAM: { Driver: parsed.value('ipam-driver') ?? 'default', Config: pools(parsed) },
      },
    });
    if (Warning) process.stderr.write(`WARNING: ${Warning}\n`);
    process.stdout.write(`${Id}\n`);
    return 0;
  },
};

/** Ranges, gateways and addresses find their subnet by the family: there is one of each. */
function pools(parsed: Parsed): object[] {
  const family = (text: string): number => (text.includes(':') ? 6 : 4);
  const subnets = parsed.list('subnet').flatMap((text) => text.split(','));
  const list = (name: string): string[] => parsed.list(name).flatMap((text) => text.split(','));
  const auxiliary = Object.entries(pairs(parsed.list('aux-address')));
  const stray = [...list('ip-range'), ...list('gateway'), ...auxiliary.map(([, address]) => address)].find(
    (text) => !subnets.some((subnet) => family(subnet) === family(text)),
  );
  if (stray !== undefined)
    throw new GantryError('INVALID_ARGUMENT', `No matching subnet for ${stray}`, { hint: 'Add --subnet' });
  return subnets.map((Subnet) => ({
    Subnet,
    IPRange: list('ip-range').find((text) => family(text) === family(Subnet)) ?? '',
    Gateway: list('gateway').find((text) => family(text) === family(Subnet)) ?? '',
    AuxiliaryAddresses: Object.fromEntries(auxiliary.filter(([, address]) => family(address) === family(Subnet))),
  }));
}

const inspect: Command = {
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  summary: 'Display detailed information on one or more networks',
  flags: [
    { name: 'format', short: 'f', kind: 'value', value: 'string', help: 'Format output using a Go template' },
    { name: 'verbose', short: 'v', kind: 'switch', help: 'Verbose output for diagnostics' },
  ],
  args: [1, MANY],
  async run(parsed, { api }) {
    const found = await Promise.all(parsed.args.map((name) => api.send<Network>('GET', path(name))));
    const format = parsed.value('format');
    const render = format === undefined || format === 'json' ? undefined : compileTemplate(format);
    process.stdout.write(
      render === undefined
        ? `${JSON.stringify(found, null, format === 'json' ? undefined : 4)}\n`
        : found.map((network) => `${render(network)}\n`).join(''),
    );
    return 0;
  },
};

const rm: Command = {
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  summary: 'Remove one or more networks',
  flags: [{ name: 'force', short: 'f', kind: 'switch', help: 'Do not error if the network does not exist' }],
  args: [1, MANY],
  run: (parsed, { api }) =>
    forEachName(parsed.args, async (name) => {
      try {
        await api.send('DELETE', path(name));
      } catch (error) {
        const missing = error instanceof GantryError && error.code === 'NETWORK_NOT_FOUND';
        if (!missing || !parsed.switch('force')) throw error;
        return undefined;
      }
      return name;
    }),
};

const connect: Command = {
  usage: '[OPTIONS] NETWORK CONTAINER',
  summary: 'Connect a container to a network',
  flags: [
    { name: 'alias', kind: 'list', value: 'strings', help: 'Add network-scoped alias for the container' },
    { name: 'gw-priority', kind: 'value', value: 'int', help: 'The highest of its networks gives the default gateway' },
    { name: 'ip', kind: 'value', value: 'ip', help: 'IPv4 address (e.g., 172.30.100.104)' },
    { name: 'ip6', kind: 'value', value: 'ip', help: 'IPv6 address (e.g., 2001:db8::33)' },
    {
      name: 'driver-opt',
      kind: 'list',
      value: 'strings',
      help: '',
      hidden: true,
      refused: 'bridges have none for endpoints',
    },
    { name: 'link', kind: 'list', value: 'list', help: 'Add link to another container' },
    {
      name: 'link-local-ip',
      kind: 'list',
      help: '',
      hidden: true,
      refused: 'networks have no link-local addresses to choose; use --ip',
    },
  ],
  args: [2, 2],
  async run(parsed, { api }) {
    await api.send('POST', `${path(parsed.args[0]!)}/connect`, {
      body: {
        Container: parsed.args[1],
        EndpointConfig: {
          Aliases: parsed.list('alias').flatMap((text) => text.split(',')),
          Links: parsed.list('link'),
          GwPriority: parsed.number('gw-priority') ?? 0,
          IPAMConfig: { IPv4Address: parsed.value('ip') ?? '', IPv6Address: parsed.value('ip6') ?? '' },
        },
      },
    });
    return 0;
  },
};

const disconnect: Command = {
  usage: '[OPTIONS] NETWORK CONTAINER',
  summary: 'Disconnect a container from a network',
  flags: [{ name: 'force', short: 'f', kind: 'switch', help: 'Force the container to disconnect from a network' }],
  args: [2, 2],
  async run(parsed, { api }) {
    const [network, Container] = parsed.args;
    await api.send('POST', `${path(network!)}/disconnect`, { body: { Container, Force: parsed.switch('force') } });
    return 0;
  },
};

export const commands: Record<string, Command> = { ls, create, inspect, rm, connect, disconnect };
