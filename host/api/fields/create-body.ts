// Docker's body of POST /containers/create → the engine's input.
import { checkLogConfig } from '../../engine/logs/log-details.ts';
import type { ContainerInput } from '../../engine/merge.ts';
import { GantryError } from '../../errors.ts';
import type { Healthcheck, HostConfig, Isolation, PortBinding, RestartPolicy } from '../../types.ts';
import { readConsoleSize } from './console-size.ts';
import { readEndpoints } from './endpoint-fields.ts';
import { type Fields, readFields } from './fields.ts';
import { readBinds, readMounts } from './mount-fields.ts';
import { readResources } from './resource-fields.ts';

/** @param version of the API that the client speaks. @throws {GantryError} INVALID_ARGUMENT, UNSUPPORTED with the field's name. */
export function readCreateBody(body: unknown, version: string): ContainerInput {
  const config = readFields(body, '');
  const host = config.child('HostConfig');
  const networking = config.child('NetworkingConfig');
  const entrypoint = config.textsOrOne('Entrypoint');
  const command = config.textsOrOne('Cmd');
  const image = config.text('Image');
  if (image === '') throw new GantryError('INVALID_ARGUMENT', 'Cannot create a container: no image specified');
  const healthcheck = readHealthcheck(config);
  const stopTimeout = config.number('StopTimeout');
  const shell = config.textsOrOne('Shell');
  const annotations = host.textMap('Annotations');
  const input: ContainerInput = {
    image,
    // [""] takes the image's entrypoint away, as docker's clients send it.
    ...(entrypoint === undefined || entrypoint.length === 0
      ? {}
      : { entrypoint: entrypoint.filter((part, index) => index > 0 || part !== '') }),
    ...(command === undefined || command.length === 0 ? {} : { command }),
    env: config.texts('Env') ?? [],
    workingDir: config.text('WorkingDir'),
    user: config.text('User'),
    groupAdd: host.texts('GroupAdd') ?? [],
    hostname: config.text('Hostname'),
    domainname: config.text('Domainname'),
    tty: config.flag('Tty'),
    openStdin: config.flag('OpenStdin'),
    stdinOnce: config.flag('StdinOnce'),
    attachStdin: config.flag('AttachStdin'),
    attachStdout: config.flag('AttachStdout'),
    attachStderr: config.flag('AttachStderr'),
    labels: config.textMap('Labels'),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    exposedPorts: Object.keys(config.map('ExposedPorts')),
    volumes: Object.keys(config.map('Volumes')),
    stopSignal: config.text('StopSignal'),
    ...(stopTimeout === undefined ? {} : { stopTimeout }),
    ...(healthcheck === undefined ? {} : { healthcheck }),
    ...(shell === undefined ? {} : { shell }),
    host: readHostConfig(host, networking, config, version),
  };
  // dockerode has in the body what it says in the query, too.
  config.ignore('ArgsEscaped', 'OnBuild', 'name', 'platform');
  for (const fields of [config, host, networking]) fields.finish();
  return input;
}

export function readHealthcheck(config: Fields): Healthcheck | undefined {
  if (!config.has('Healthcheck')) return undefined;
  const raw = config.child('Healthcheck');
  return {
    test: raw.texts('Test') ?? [],
    interval: raw.number('Interval') ?? 0,
    timeout: raw.number('Timeout') ?? 0,
    startPeriod: raw.number('StartPeriod') ?? 0,
    startInterval: raw.number('StartInterval') ?? 0,
    retries: raw.number('Retries') ?? 0,
  };
}

function readHostConfig(host: Fields, networking: Fields, config: Fields, version: string): HostConfig {
  const own = host.child('Gantry');
  const disabled = config.flag('NetworkDisabled');
  const networkMode = disabled ? 'none' : networkName(host.text('NetworkMode'));
  const networks = readEndpoints(networking.map('EndpointsConfig'), version);
  // Before API 1.44 the address stood beside the networks: it is meant for the first one.
  const mac = config.text('MacAddress');
  if (mac) networks[networkMode] = { ...(networks[networkMode] ?? { aliases: [] }), macAddress: mac };
  const consoleSize = readConsoleSize(host);
  const maskedPaths = host.texts('MaskedPaths');
  const readonlyPaths = host.texts('ReadonlyPaths');
  const shmSize = host.number('ShmSize');
  const isolation = readIsolation(host) ?? (WASM_RUNTIME.test(host.text('Runtime')) ? 'wasm' : undefined);
  const given: HostConfig = {
    autoRemove: host.flag('AutoRemove'),
    resources: readResources(host, own),
    mounts: [...readBinds(host.texts('Binds') ?? [], readVolumeDriver(host)), ...readMounts(host.list('Mounts'))],
    volumesFrom: host.texts('VolumesFrom') ?? [],
    networkMode,
    ports: readPorts(host.map('PortBindings')),
    publishAllPorts: host.flag('PublishAllPorts'),
    dns: host.texts('Dns') ?? [],
    dnsSearch: host.texts('DnsSearch') ?? [],
    dnsOptions: host.texts('DnsOptions') ?? [],
    extraHosts: host.texts('ExtraHosts') ?? [],
    links: host.texts('Links') ?? [],
    networks,
    restartPolicy: readRestartPolicy(host.child('RestartPolicy')),
    capAdd: host.textsOrOne('CapAdd') ?? [],
    capDrop: host.textsOrOne('CapDrop') ?? [],
    privileged: host.flag('Privileged'),
    readonlyRootfs: host.flag('ReadonlyRootfs'),
    securityOpt: host.texts('SecurityOpt') ?? [],
    tmpfs: host.textMap('Tmpfs'),
    ...(shmSize ? { shmSize } : {}),
    init: host.flag('Init'),
    ulimits: host
      .list('Ulimits')
      .map((item) => ({ name: item.text('Name'), soft: item.number('Soft') ?? 0, hard: item.number('Hard') ?? 0 })),
    devices: host.list('Devices').map((item) => ({
      pathOnHost: item.text('PathOnHost'),
      pathInContainer: item.text('PathInContainer') || item.text('PathOnHost'),
      cgroupPermissions: item.text('CgroupPermissions') || 'rwm',
    })),
    sysctls: host.textMap('Sysctls'),
    pidMode: host.text('PidMode'),
    ipcMode: host.text('IpcMode'),
    utsMode: host.text('UTSMode'),
    userMode: host.text('UsernsMode'),
    cgroupMode: host.text('CgroupnsMode'),
    timeMode: own.text('timeMode'),
    timeOffset: own.text('timeOffset'),
    uidMaps: own.texts('uidMaps') ?? [],
    gidMaps: own.texts('gidMaps') ?? [],
    cgroupParent: host.text('CgroupParent'),
    oomScoreAdj: host.number('OomScoreAdj') ?? 0,
    ...(maskedPaths === undefined ? {} : { maskedPaths }),
    ...(readonlyPaths === undefined ? {} : { readonlyPaths }),
    logConfig: readLogConfig(host.child('LogConfig')),
    ...(isolation === undefined ? {} : { isolation }),
    ...(consoleSize === undefined ? {} : { consoleSize }),
  };
  checkRuntime(host);
  own.finish();
  host.ignore('ContainerIDFile', 'Cgroup');
  return given;
}

function networkName(mode: string): string {
  return mode === '' || mode === 'default' ? 'bridge' : mode;
}

/** {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}; of "8000-8010" the first free one is taken. */
function readPorts(bindings: Record<string, unknown>): PortBinding[] {
  return Object.entries(bindings).flatMap(([key, list]) => {
    const [, port, protocol = 'tcp'] = /^(\d+)(?:\/(tcp|udp|sctp))?$/.exec(key) ?? [];
    const containerPort = Number(port);
    if (port === undefined || containerPort < 1 || containerPort > 65535)
      throw new GantryError('INVALID_ARGUMENT', `Invalid port specification: "${key}"`);
    const entries = Array.isArray(list) && list.length > 0 ? list : [{}];
    return entries.map((entry) => {
      const fields = readFields(entry, `HostConfig.PortBindings.${key}`);
      const text = fields.text('HostPort');
      const [, first = '', last = first] = /^(\d*)(?:-(\d+))?$/.exec(text) ?? [];
      const [hostPort, hostPortLast] = [Number(first), Number(last)];
      if ((text !== '' && first === '') || hostPortLast > 65535 || hostPort > hostPortLast)
        throw new GantryError('INVALID_ARGUMENT', `Invalid port specification: "${text}"`);
      return {
        containerPort,
        protocol: protocol as PortBinding['protocol'],
        hostIp: fields.text('HostIp'),
        hostPort,
        ...(hostPortLast > hostPort ? { hostPortLast } : {}),
      };
    });
  });
}

const policies = ['no', 'always', 'on-failure', 'unless-stopped'];

export function readRestartPolicy(fields: Fields): RestartPolicy {
  const name = fields.text('Name') || 'no';
  const maximumRetryCount = fields.number('MaximumRetryCount') ?? 0;
  if (!policies.includes(name))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid restart policy: unknown policy '${name}'; use one of ${policies.map((policy) => `'${policy}'`).join(', ')}`,
    );
  if (maximumRetryCount !== 0 && name !== 'on-failure')
    throw new GantryError(
      'INVALID_ARGUMENT',
      "Invalid restart policy: maximum retry count can only be used with 'on-failure'",
    );
  return { name: name as RestartPolicy['name'], maximumRetryCount };
}

/** Of every volume that is made for the container. */
function readVolumeDriver(host: Fields): string {
  const driver = host.text('VolumeDriver');
  if (!['', 'local'].includes(driver))
    throw new GantryError(
      'VOLUME_NOT_FOUND',
      `Error looking up volume plugin ${driver}: plugin "${driver}" not found`,
      { hint: 'The only driver is "local"' },
    );
  return driver;
}

function readLogConfig(fields: Fields): HostConfig['logConfig'] {
  const logConfig = { type: fields.text('Type') || 'json-file', config: fields.textMap('Config') };
  checkLogConfig(logConfig);
  return logConfig;
}

/** Docker's names of runtimes of WebAssembly: what they run is run here, and not by them. */
const WASM_RUNTIME = /^io\.containerd\.(wasmedge|wasmer|wasmtime)\.v\d+$/;

function checkRuntime(host: Fields): void {
  const runtime = host.text('Runtime');
  if (!['', 'runc', 'gantry', 'io.containerd.runc.v2'].includes(runtime) && !WASM_RUNTIME.test(runtime))
    throw new GantryError('UNSUPPORTED', `Unknown or invalid runtime name: ${runtime}`, {
      hint: 'gantry is its own runtime; leave it out',
    });
}

/** Docker's field, with its words for Windows; "hyperv" is there what "vm" is here. */
function readIsolation(host: Fields): Isolation | undefined {
  const isolation = host.text('Isolation');
  if (isolation === '' || isolation === 'default') return undefined;
  if (isolation === 'process' || isolation === 'vm' || isolation === 'wasm') return isolation;
  throw new GantryError('INVALID_ARGUMENT', `Cannot isolate by "${isolation}"`, {
    hint: 'One of default, process, vm, wasm',
  });
}
