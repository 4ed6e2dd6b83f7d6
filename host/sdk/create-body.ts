// Options of a container → docker's body of POST /containers/create.
import { readByteSize } from '../byte-size.ts';
import { GantryError } from '../errors.ts';
import type {
  ByteSize,
  ContainerOptions,
  CreateOptions,
  HealthcheckOptions,
  MountOptions,
} from './container-options.ts';
import { readPort } from './ports.ts';

/** Each field and how it is said to the engine; `undefined` options are as if they were not there. */
const fields: { [K in keyof ContainerOptions]-?: (value: NonNullable<ContainerOptions[K]>) => Body } = {
  image: (Image) => ({ config: { Image } }),
  cmd: (Cmd) => ({ config: { Cmd } }),
  // [""] takes the image's entrypoint away.
  entrypoint: (words) => ({ config: { Entrypoint: words.length === 0 ? [''] : words } }),
  name: () => ({}),
  env: (variables) => ({ config: { Env: Object.entries(variables).map(([name, value]) => `${name}=${value}`) } }),
  labels: (Labels) => ({ config: { Labels } }),
  workdir: (WorkingDir) => ({ config: { WorkingDir } }),
  user: (User) => ({ config: { User } }),
  groupAdd: (GroupAdd) => ({ host: { GroupAdd } }),
  hostname: (Hostname) => ({ config: { Hostname } }),
  ports: publish,
  volumes: (texts) => ({
    host: { Binds: texts.filter((text) => text.includes(':')) },
    config: { Volumes: Object.fromEntries(texts.filter((text) => !text.includes(':')).map((path) => [path, {}])) },
  }),
  mounts: (mounts) => ({ host: { Mounts: mounts.map(mountJson) } }),
  tmpfs: (Tmpfs) => ({ host: { Tmpfs } }),
  network: (NetworkMode) => ({ host: { NetworkMode } }),
  networkAliases: () => ({}),
  addHosts: (ExtraHosts) => ({ host: { ExtraHosts } }),
  dns: (Dns) => ({ host: { Dns } }),
  memory: (size) => ({ host: { Memory: bytes(size, 'memory') } }),
  memorySwap: (size) => ({ host: { MemorySwap: Number(size) === -1 ? -1 : bytes(size, 'memorySwap') } }),
  cpus: (cpus) => ({ host: { NanoCpus: Math.round(cpus * 1e9) } }),
  cpusetCpus: (CpusetCpus) => ({ host: { CpusetCpus } }),
  pidsLimit: (PidsLimit) => ({ host: { PidsLimit } }),
  shmSize: (size) => ({ host: { ShmSize: bytes(size, 'shmSize') } }),
  ulimits: (limits) => ({
    host: {
      Ulimits: Object.entries(limits).map(([Name, limit]) => {
        const { soft, hard } = typeof limit === 'number' ? { soft: limit, hard: limit } : limit;
        return { Name, Soft: soft, Hard: hard };
      }),
    },
  }),
  sysctls: (Sysctls) => ({ host: { Sysctls } }),
  readOnly: (ReadonlyRootfs) => ({ host: { ReadonlyRootfs } }),
  capAdd: (CapAdd) => ({ host: { CapAdd } }),
  capDrop: (CapDrop) => ({ host: { CapDrop } }),
  privileged: (Privileged) => ({ host: { Privileged } }),
  securityOpt: (SecurityOpt) => ({ host: { SecurityOpt } }),
  init: (Init) => ({ host: { Init } }),
  restart: (text) => ({ host: { RestartPolicy: restartPolicy(text) } }),
  stopSignal: (StopSignal) => ({ config: { StopSignal } }),
  stopTimeout: (StopTimeout) => ({ config: { StopTimeout } }),
  healthcheck: (check) => ({ config: { Healthcheck: healthcheckJson(check) } }),
  isolation: (Isolation) => ({ host: { Isolation } }),
  tty: (Tty) => ({ config: { Tty } }),
  rm: (AutoRemove) => ({ host: { AutoRemove } }),
};

/** What is not said to the engine in the body. */
const elsewhere = ['pull', 'platform', 'signal', 'openStdin', 'stdin'];

interface Body {
  config?: object;
  host?: object;
}

/** @throws {GantryError} INVALID_ARGUMENT for options that do not exist, and for values that say nothing. */
export function createBody(options: CreateOptions): object {
  const config: object[] = [];
  const host: object[] = [];
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || elsewhere.includes(name)) continue;
    const field = Object.hasOwn(fields, name) ? fields[name as keyof ContainerOptions] : undefined;
    if (field === undefined)
      throw new GantryError('INVALID_ARGUMENT', `Cannot create a container: there is no option "${name}"`, {
        hint: `One of ${Object.keys(fields).join(', ')}`,
      });
    const said = (field as (value: unknown) => Body)(value);
    if (said.config !== undefined) config.push(said.config);
    if (said.host !== undefined) host.push(said.host);
  }
  const { network, networkAliases, openStdin = false } = options;
  return Object.assign({ OpenStdin: openStdin, StdinOnce: openStdin, AttachStdin: openStdin }, ...config, {
    HostConfig: Object.assign({}, ...host),
    ...(networkAliases === undefined
      ? {}
      : { NetworkingConfig: { EndpointsConfig: { [network ?? 'bridge']: { Aliases: networkAliases } } } }),
  });
}

function bytes(size: ByteSize, option: string): number {
  const read = typeof size === 'number' ? size : readByteSize(size);
  if (read !== undefined && Number.isSafeInteger(read)) return read;
  throw new GantryError('INVALID_ARGUMENT', `Cannot read ${option} "${size}": invalid size`, {
    hint: 'A number of bytes, or such as "512m" or "1.5g"',
  });
}

function publish(ports: NonNullable<ContainerOptions['ports']>): Body {
  const bindings: Record<string, object[]> = {};
  for (const port of ports) {
    const { key, hostIp, hostPort } = readPort(port);
    bindings[key] = [...(bindings[key] ?? []), { HostIp: hostIp, HostPort: hostPort }];
  }
  return {
    config: { ExposedPorts: Object.fromEntries(Object.keys(bindings).map((key) => [key, {}])) },
    host: { PortBindings: bindings },
  };
}

function mountJson({ type, source, target, readOnly, ...others }: MountOptions): object {
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw new GantryError('INVALID_ARGUMENT', `Cannot mount at "${target}": there is no option "${unknown}"`, {
      hint: 'One of type, source, target, readOnly',
    });
  return { Type: type, Target: target, ...(source ? { Source: source } : {}), ReadOnly: readOnly ?? false };
}

function restartPolicy(text: string): object {
  const [, Name, count] = /^(no|always|unless-stopped|on-failure)(?::(\d+))?$/.exec(text) ?? [];
  if (Name === undefined)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the restart policy "${text}"`, {
      hint: 'One of no, always, unless-stopped, on-failure, on-failure:3',
    });
  return { Name, MaximumRetryCount: Number(count ?? 0) };
}

function healthcheckJson(check: HealthcheckOptions | false): object {
  if (check === false) return { Test: ['NONE'] };
  const { cmd, intervalMs, timeoutMs, startPeriodMs, startIntervalMs, retries } = check;
  const nanoseconds = (ms = 0): number => Math.round(ms * 1e6);
  return {
    Test: typeof cmd === 'string' ? ['CMD-SHELL', cmd] : ['CMD', ...cmd],
    Interval: nanoseconds(intervalMs),
    Timeout: nanoseconds(timeoutMs),
    StartPeriod: nanoseconds(startPeriodMs),
    StartInterval: nanoseconds(startIntervalMs),
    Retries: retries ?? 0,
  };
}
