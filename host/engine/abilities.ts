// What a container's backend cannot do is refused before anything is made or run, with the reason.
import type { BackendCapabilities } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { ContainerConfig } from '../types.ts';
import type { Container } from './container.ts';
import { checkShares } from './volumes/shares.ts';

type Ability = 'pause' | 'exec' | 'update' | 'copies' | 'processes';

const doing: Record<Ability, string> = {
  pause: 'pause',
  exec: 'run another process in',
  update: 'update the limits of',
  copies: 'look into the files of',
  processes: 'list the processes of',
};

const kinds: Record<BackendCapabilities['name'], string> = {
  linux: 'a container of this kernel',
  vm: 'a container in the virtual machine',
  wasi: 'a WASI container, which is one WebAssembly program',
};

/** @throws {GantryError} UNSUPPORTED. */
export function checkAble({ record, backend: { capabilities } }: Container, ability: Ability): void {
  if (capabilities[ability]) return;
  throw new GantryError(
    'UNSUPPORTED',
    `Cannot ${doing[ability]} container ${record.name}: it is ${kinds[capabilities.name]}`,
  );
}

/** What a user has not asked for, but every container has where there are networks. */
export function settleAbilities({ host }: ContainerConfig, { networks }: BackendCapabilities): void {
  if (networks || !['default', 'bridge'].includes(host.networkMode)) return;
  delete host.networks?.[host.networkMode];
  host.networkMode = 'none';
}

/** Of a creation. @throws {GantryError} UNSUPPORTED. */
export function checkCapabilities({ host, healthcheck }: ContainerConfig, capabilities: BackendCapabilities): void {
  const { name, bindMounts, networks, exec } = capabilities;
  const bind = host.mounts.find(({ type }) => type === 'bind');
  if (!bindMounts && bind !== undefined)
    throw new GantryError(
      'UNSUPPORTED',
      `Cannot bind "${bind.source}": ${kinds[name]} does not see this host's files`,
      { hint: 'Use a volume, or copy with "gantry cp"' },
    );
  if (name === 'vm') checkShares(host);
  if (!networks && host.networkMode !== 'none')
    throw new GantryError('UNSUPPORTED', `Cannot use the network "${host.networkMode}" in ${kinds[name]}`, {
      hint: 'Leave --network out: it has none',
    });
  if (!networks && (host.ports.length > 0 || host.publishAllPorts))
    throw new GantryError('UNSUPPORTED', `Cannot publish a port of ${kinds[name]}: it has no network`);
  if (!exec && healthcheck !== undefined && healthcheck.test.length > 0 && healthcheck.test[0] !== 'NONE')
    throw new GantryError('UNSUPPORTED', `Cannot check the health of ${kinds[name]}: nothing else can run in it`, {
      hint: 'Add --no-healthcheck',
    });
}
