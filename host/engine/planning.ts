// A container's record → the request that the planning core takes.
import { existsSync, readFileSync } from 'node:fs';
import type { Backend, LogTarget, PlanFiles } from '../backend.ts';
import { GantryError } from '../errors.ts';
import { explainPlan, redact } from '../core/plan-text.ts';
import { planContainer } from '../core/plans.ts';
import type { HostFacts, Plan, PlanNetwork, PlanRequest } from '../plan-types.ts';
import type { ContainerConfig, HostConfig, Image } from '../types.ts';
import type { Context } from './context.ts';
import { withIdMaps } from './id-maps.ts';
import { isTrue } from './logs/log-details.ts';
import { planMounts } from './volumes/mounts.ts';
import type { ContainerRecord, IdMaps } from './record.ts';
import { imageAccounts, readAccounts, resolveUser } from './user.ts';

/** Host device nodes that the configuration names: their numbers are facts that planning needs. */
export function namedDevices({ host: { devices, resources } }: ContainerConfig): string[] {
  const rates = [
    resources.blkioWeightDevice,
    resources.blkioDeviceReadBps,
    resources.blkioDeviceWriteBps,
    resources.blkioDeviceReadIOps,
    resources.blkioDeviceWriteIOps,
  ];
  return [
    ...devices.map(({ pathOnHost }) => pathOnHost),
    ...rates.flatMap((list) => list?.map(({ path }) => path) ?? []),
  ];
}

/** Pid of a running container by name or ID. @throws {GantryError} CONTAINER_NOT_FOUND, INVALID_STATE. */
export type FindRunning = (name: string) => { id: string; pid: number; idMaps?: IdMaps | undefined };

const namespaceModes = {
  pid: 'pidMode',
  ipc: 'ipcMode',
  uts: 'utsMode',
  cgroup: 'cgroupMode',
  time: 'timeMode',
  user: 'userMode',
} as const;

function joinPids({ host }: ContainerConfig, find: FindRunning): Record<string, number> {
  const pids: Record<string, number> = {};
  for (const [namespace, field] of Object.entries(namespaceModes)) {
    const [, name] = /^container:(.+)$/.exec(host[field] ?? '') ?? [];
    if (name !== undefined) pids[namespace] = find(name).pid;
  }
  return pids;
}

export interface Planning {
  backend: Backend;
  facts: HostFacts;
  network: PlanNetwork;
  image: Image;
  find: FindRunning;
  slot?: string | undefined;
  /** It is only shown: volumes need not be there. */
  preview?: boolean;
}

export function planRequest(context: Context, record: ContainerRecord, planning: Planning): PlanRequest {
  const config = withIdMaps(record);
  const files = context.files.of(record.id);
  const lower = context.images.layerPaths(planning.image);
  const fresh = record.state.startedAt === '';
  const accounts = fresh ? imageAccounts(config.imageId, lower) : readAccounts([files.upper, ...lower]);
  const log = planning.backend.capabilities.sameFiles ? logOf(config.host, files.log) : undefined;
  return {
    id: record.id,
    facts: planning.facts,
    container: shareableIpc(namedAsOwner(config, files.hostname)),
    rootfs: {
      lower: planning.backend.capabilities.kernel ? [...lower, context.files.scaffold] : lower,
      upper: files.upper,
      work: files.work,
      volatile: config.host.autoRemove,
    },
    mounts: planMounts(record, planning.backend, planning.preview),
    network: planning.network,
    paths: {
      hosts: files.hosts,
      hostname: files.hostname,
      resolvConf: files.resolvConf,
      controlSocket: files.controlSocket,
      log: log?.path ?? '',
      ...(log?.maxSize === undefined ? {} : { logMaxSize: log.maxSize }),
      ...(log?.maxFiles === undefined ? {} : { logMaxFiles: log.maxFiles }),
      ...(log?.compress === true ? { logCompress: true } : {}),
      ...(log?.buffer === undefined ? {} : { logBuffer: log.buffer }),
      exitRecord: files.exitRecord,
      init: planning.backend.initProgram,
      emptyDirectory: context.files.emptyDirectory,
    },
    user: resolveUser(config.user, config.groupAdd ?? [], accounts),
    joinPids: joinPids(config, planning.find),
    ...(planning.slot === undefined ? {} : { pooledSlot: planning.slot }),
  };
}

/** A prepared slot has a network namespace: it is no place for a container that shares another one. */
export function fitsSlot({ networkMode }: HostConfig): boolean {
  return networkMode !== 'host' && !networkMode.startsWith('container:');
}

export function planRecord(context: Context, record: ContainerRecord, planning: Planning): Plan {
  const { plan = planContainer } = planning.backend;
  return plan(planRequest(context, record, planning));
}

/** For people. A plan of another form than the core's is shown as it is, without secrets. */
export function explain(plan: Plan, { capabilities }: Backend): string {
  if (capabilities.kernel) return explainPlan(plan);
  const order = JSON.parse(new TextDecoder().decode(plan.setup)) as { env: string[] };
  return `${JSON.stringify({ ...order, env: order.env.map(redact) }, null, 2)}\n`;
}

/** Who shares another's network has its name, too: the file is that one's. */
function namedAsOwner(config: ContainerConfig, hostnameFile: string): ContainerConfig {
  const { networkMode, utsMode } = config.host;
  if (!networkMode.startsWith('container:') || utsMode !== '' || !existsSync(hostnameFile)) return config;
  return { ...config, hostname: readFileSync(hostnameFile, 'utf8').trim() };
}

/** Docker's "shareable" and "none" of --ipc: every namespace here can be joined. */
function shareableIpc(config: ContainerConfig): ContainerConfig {
  if (!['shareable', 'none'].includes(config.host.ipcMode)) return config;
  return { ...config, host: { ...config.host, ipcMode: 'private' } };
}

/** What docker's "local" driver does without options. */
const LOCAL_DEFAULTS = { 'max-size': '20m', 'max-file': '5', compress: 'true' };

/** What the record's plan names of this host's files. */
export function planFiles(context: Context, record: ContainerRecord, image: Image): PlanFiles {
  const files = context.files.of(record.id);
  const lower = [...context.images.layerPaths(image), ...record.mounts.flatMap((mount) => mount.image?.layers ?? [])];
  const volumes = record.mounts.filter(({ type }) => type === 'volume').map(({ source }) => source);
  const empty = context.files.emptyDirectory;
  return {
    trees: [...lower, context.files.scaffold],
    directories: [
      ...[files.upper, files.work, ...volumes].map((path) => ({ path, mode: 0o755 })),
      ...[empty, `${empty}-mask`].map((path) => ({ path, mode: 0o555 })),
      { path: files.runDirectory, mode: 0o700 },
    ],
    files: [files.hosts, files.hostname, files.resolvConf],
    shares: sharesOf(record),
  };
}

export function sharesOf({ mounts }: ContainerRecord): PlanFiles['shares'] {
  return mounts.filter(({ type }) => type === 'bind').map(({ source, readOnly }) => ({ source, readOnly }));
}

/** Undefined where there is to be none. Sizes are decimal, as docker reads them here. */
export function logOf({ logConfig }: HostConfig, path: string): LogTarget | undefined {
  return logConfig.type === 'none' ? undefined : { path, ...logLimits(logConfig), ...logBuffer(logConfig) };
}

function logLimits({ type, config }: HostConfig['logConfig']): Omit<LogTarget, 'path'> {
  const options: Record<string, string> = type === 'local' ? { ...LOCAL_DEFAULTS, ...config } : config;
  const { 'max-size': size = '-1', 'max-file': files = '1' } = options;
  const compress = isTrue(options.compress ?? 'false');
  if (!/^[1-9]\d*$/.test(files))
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the log option max-file "${files}": it must be 1 or more`);
  if (compress && (size === '-1' || files === '1'))
    throw new GantryError(
      'INVALID_ARGUMENT',
      'The log option compress cannot be true when max-file is less than 2 or max-size is not set',
      { hint: 'Such as max-size=10m and max-file=3; or compress=false' },
    );
  if (size === '-1') return {};
  const [, digits, suffix = ''] = /^(\d+)([kmg]?)b?$/i.exec(size) ?? [];
  if (digits === undefined || Number(digits) === 0)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the log option max-size "${size}"`, { hint: 'Such as 10m' });
  const unit = 1000 ** ' kmg'.indexOf(suffix.toLowerCase() || ' ');
  return { maxSize: Number(digits) * unit, maxFiles: Number(files), ...(compress ? { compress } : {}) };
}

/** Docker's, where nothing is said. */
const BUFFER_DEFAULT = '1000000';

/** Of mode=non-blocking. Sizes are binary here, as docker reads them. */
function logBuffer({ config }: HostConfig['logConfig']): Pick<LogTarget, 'buffer'> {
  if (config.mode !== 'non-blocking') return {};
  const { 'max-buffer-size': size = BUFFER_DEFAULT } = config;
  const [, digits, suffix = ''] = /^(\d+)([kmg]?)(?:i?b)?$/i.exec(size) ?? [];
  const bytes = Number(digits) * 1024 ** ' kmg'.indexOf(suffix.toLowerCase() || ' ');
  if (digits === undefined || bytes === 0 || bytes > BUFFER_MAX)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the log option max-buffer-size "${size}"`, {
      hint: 'Such as 4m; up to 1g',
    });
  return { buffer: bytes };
}

const BUFFER_MAX = 1024 ** 3;
