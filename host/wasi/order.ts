// What a runner is told: one container's program and all that it is given. The wasi backend's form of a plan.
import { posix } from 'node:path';
import { GantryError } from '../errors.ts';
import type { LogTarget } from '../backend.ts';
import type { Plan, PlanMount, PlanRequest } from '../plan-types.ts';

export interface Preopen {
  /** As the program sees it. */
  name: string;
  path: string;
  readonly: boolean;
}

export interface Order {
  /** Of the program, in the container's root. */
  module: string;
  args: string[];
  env: string[];
  /** Directories of the image's layers, uppermost first: what the root is filled with before the first start. */
  layers: string[];
  root: string;
  /** Beside the root and on its disk: what it is filled with comes together here. */
  work: string;
  preopens: Preopen[];
  /** Volumes that get what the image has at their place. */
  copyUps: Preopen[];
  /** Of 64 KiB; absent: as many as the program declares. */
  memoryPages?: number;
  openStdin: boolean;
  stdinOnce: boolean;
  log?: LogTarget;
  exitRecord: string;
  controlSocket: string;
}

const PAGE = 65536;
const encoder = new TextEncoder();

/** @throws {GantryError} UNSUPPORTED for what a WASI program cannot have; INVALID_ARGUMENT. */
export function planModule(request: PlanRequest): Plan {
  const { container, rootfs, mounts, paths } = request;
  const { host } = container;
  refuseUnable(request);
  const [program, ...args] = [...container.entrypoint, ...container.command];
  if (program === undefined) throw new GantryError('INVALID_ARGUMENT', 'No command specified');
  const workingDir = container.workingDir || '/';
  const preopens: Preopen[] = [
    { name: '/', path: rootfs.upper ?? '', readonly: host.readonlyRootfs },
    ...mounts.map(({ target, source, readOnly }) => ({
      name: posix.normalize(target).replace(/(.)\/$/, '$1'),
      path: source,
      readonly: readOnly ?? false,
    })),
  ];
  const memory = Number(host.resources.memory ?? 0);
  const log: LogTarget = {
    path: paths.log,
    ...(paths.logMaxSize === undefined ? {} : { maxSize: paths.logMaxSize }),
    ...(paths.logMaxFiles === undefined ? {} : { maxFiles: paths.logMaxFiles }),
    ...(paths.logCompress === undefined ? {} : { compress: paths.logCompress }),
  };
  const order: Order = {
    module: posix.resolve(workingDir, program),
    args: [program, ...args],
    env: [...container.env, ...(workingDir === '/' ? [] : [`PWD=${workingDir}`])],
    layers: rootfs.lower,
    root: rootfs.upper ?? '',
    work: rootfs.work ?? '',
    preopens,
    copyUps: preopens.filter(({ name }) => mounts.some(({ target, copyUp }) => target === name && copyUp)),
    ...(memory > 0 ? { memoryPages: Math.max(1, Math.floor(memory / PAGE)) } : {}),
    openStdin: container.openStdin,
    stdinOnce: container.stdinOnce,
    ...(paths.log === '' ? {} : { log }),
    exitRecord: paths.exitRecord,
    controlSocket: paths.controlSocket,
  };
  const spec = {
    ociVersion: '1.2.0',
    process: { args: order.args, env: order.env, cwd: workingDir, terminal: false },
    root: { path: order.root, readonly: host.readonlyRootfs },
    mounts: mounts.map(({ target, source, readOnly }) => ({
      ...{ destination: target, type: 'bind', source, options: [readOnly ? 'ro' : 'rw'] },
    })),
    ...(memory > 0 ? { linux: { resources: { memory: { limit: memory } } } } : {}),
  };
  const warnings =
    workingDir === '/'
      ? []
      : [`A WASI program has no working directory: relative paths begin at "/", and PWD says "${workingDir}"`];
  const setup = encoder.encode(JSON.stringify(order));
  return { id: request.id, spec, setup, teardown: new Uint8Array(), cgroupWrites: [], warnings };
}

/** What a user may ask for and no WASI program has, and whether this one asks for it. */
function refuseUnable({ container, mounts }: PlanRequest): void {
  const { host } = container;
  const { resources } = host;
  const some = (list: readonly unknown[] | object | undefined): boolean => Object.keys(list ?? {}).length > 0;
  const { memory, memorySwap, memorySwappiness, ...others } = resources;
  const swap = Number(memorySwap ?? 0);
  const asked: [boolean, string, string?][] = [
    [container.tty, 'a terminal', 'Leave -t out; -i works'],
    [!['', '0', 'root', '0:0', 'root:root'].includes(container.user), `the user "${container.user}"`],
    [some(container.groupAdd), 'further groups'],
    [host.privileged, 'privileges'],
    [some(host.capAdd) || some(host.capDrop), 'capabilities'],
    [some(host.securityOpt), 'security options'],
    [some(host.devices), 'devices'],
    [some(host.sysctls), 'sysctls'],
    [some(host.ulimits), 'ulimits'],
    [host.init, 'an init process'],
    [some(host.tmpfs), 'a tmpfs'],
    [(host.shmSize ?? 0) !== 0, 'a size of /dev/shm'],
    [host.oomScoreAdj !== 0, 'an OOM score'],
    [host.cgroupParent !== '', 'a parent cgroup'],
    [some(host.uidMaps) || some(host.gidMaps) || (host.timeOffset ?? '') !== '', 'namespaces of its own'],
    [some(host.dns) || some(host.dnsSearch) || some(host.dnsOptions), 'name servers'],
    [some(host.extraHosts) || some(host.links), 'names of other hosts'],
    [
      [host.pidMode, host.ipcMode, host.utsMode, host.userMode, host.timeMode ?? ''].some(
        (mode) => !['', 'private', 'shareable'].includes(mode),
      ),
      "another's namespaces",
    ],
    [Object.values(others).some(isLimit), 'limits but of its memory', 'Only -m is there'],
    [swap > 0 && swap !== Number(memory ?? 0), 'swap'],
    [(memorySwappiness ?? -1) !== -1, 'swappiness'],
  ];
  for (const [isAsked, what, hint] of asked) if (isAsked) throw unable(what, hint);
  for (const mount of mounts) refuseMount(mount);
}

function refuseMount({ type, target, source, sourceIsDirectory, volumeSubpath }: PlanMount): void {
  if (type !== 'bind' && type !== 'volume') throw unable(`a mount of type ${type} at "${target}"`);
  if (!sourceIsDirectory && volumeSubpath === undefined)
    throw unable(`the file "${source}" at "${target}"`, 'Mount the directory that it is in');
}

function unable(what: string, hint?: string): GantryError {
  const message = `Cannot give a WASI program ${what}: it has only arguments, variables, streams and directories`;
  return new GantryError('UNSUPPORTED', message, { hint });
}

function isLimit(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return value !== undefined && value !== '' && value !== false && Number(value) !== 0;
}
