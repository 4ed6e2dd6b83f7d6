// Docker's body of POST /networks/create → the engine's input.
import type { NetworkInput, Pool } from '../../engine/network/definition.ts';
import { GantryError } from '../../errors.ts';
import type { Fields } from './fields.ts';

/** Why a driver of docker's is not there. */
const drivers: Record<string, string> = {
  macvlan:
    "containers with addresses of the host's own network are not supported; publish ports, or use --network host",
  ipvlan: "containers with addresses of the host's own network are not supported; publish ports, or use --network host",
  overlay: 'networks over several hosts need a swarm, and gantry has none',
};

const IPV4_SINCE = 48;

/** @param version of the API that the client speaks. @throws {GantryError} INVALID_ARGUMENT, UNSUPPORTED with the field's name. */
export function readNetworkBody(body: Fields, version: string): NetworkInput {
  const name = body.text('Name');
  if (name === '') throw new GantryError('INVALID_ARGUMENT', 'Cannot create a network: no name is given');
  checkDriver(body.text('Driver') || 'bridge');
  const scope = body.text('Scope');
  if (!['', 'local'].includes(scope))
    throw new GantryError('UNSUPPORTED', `Cannot make a network of the scope "${scope}": gantry has no swarm`);
  if (body.flag('Ingress')) throw new GantryError('UNSUPPORTED', 'Cannot make an ingress network: gantry has no swarm');
  if (body.flag('ConfigOnly') || body.child('ConfigFrom').text('Network') !== '')
    throw new GantryError('UNSUPPORTED', 'Cannot make configuration-only networks: not supported', {
      hint: 'Give the configuration with each network',
    });
  const ipv4 = body.has('EnableIPv4') ? body.flag('EnableIPv4') : true;
  if (!ipv4 && Number(version.split('.')[1]) >= IPV4_SINCE)
    throw new GantryError('UNSUPPORTED', 'Cannot make a network without IPv4: not supported', {
      hint: 'Leave --ipv4=false out; --ipv6 adds IPv6',
    });
  const ipam = body.child('IPAM');
  const driver = ipam.text('Driver');
  if (!['', 'default'].includes(driver))
    throw new GantryError('UNSUPPORTED', `Cannot manage addresses with the driver "${driver}": not supported`);
  const input: NetworkInput = {
    name,
    internal: body.flag('Internal'),
    attachable: body.flag('Attachable'),
    ipv6: body.flag('EnableIPv6'),
    options: body.textMap('Options'),
    labels: body.textMap('Labels'),
    ipamOptions: {},
    pools: ipam.list('Config').map(readPool),
  };
  ipam.finish();
  body.ignore('CheckDuplicate', 'ConfigFrom');
  body.finish();
  return input;
}

function checkDriver(driver: string): void {
  if (driver === 'bridge') return;
  if (driver === 'host' || driver === 'null')
    throw new GantryError('PERMISSION_DENIED', `Only one instance of "${driver}" network is allowed`, {
      hint: `It is there: --network ${driver === 'host' ? 'host' : 'none'}`,
    });
  if (driver === 'none') throw notFound(driver);
  const reason = drivers[driver];
  if (reason === undefined) throw notFound(driver);
  throw new GantryError('UNSUPPORTED', `Cannot make a network with the driver "${driver}": ${reason}`);
}

function notFound(driver: string): GantryError {
  return new GantryError('PATH_NOT_FOUND', `Could not find a network driver: plugin "${driver}" not found`, {
    hint: '"bridge" is there',
  });
}

function readPool(fields: Fields): Pool {
  const pool = {
    subnet: fields.text('Subnet'),
    range: fields.text('IPRange'),
    gateway: fields.text('Gateway'),
    auxiliary: { ...fields.textMap('AuxiliaryAddresses'), ...fields.textMap('AuxAddress') },
  };
  fields.finish();
  return pool;
}
