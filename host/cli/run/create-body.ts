// Flags of run and create → the body of POST /containers/create, in docker's spelling.
import { readFileSync } from 'node:fs';
import { GantryError } from '../../errors.ts';
import { withProxies } from '../proxies.ts';
import { pairs, readEnvironment, readLabels } from './environment.ts';
import type { Parsed } from '../flags.ts';
import { parseDevice, parseVolume } from './mount-flag.ts';
import { parseMount } from './mount-option.ts';
import { networking } from './network-flag.ts';
import { parseExposed, parsePublished } from './ports.ts';
import { terminalSize } from './session.ts';
import { parseBytes, parseBytesOrUnlimited, parseDuration } from '../format/units.ts';

function invalid(flag: string, text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--${flag}": ${reason}`, {
    details: { flag },
  });
}

/** @throws {GantryError} INVALID_ARGUMENT naming the flag. */
export function createBody(
  parsed: Parsed,
  attach: { stdin: boolean; stdout: boolean; stderr: boolean },
  engine: string,
): Record<string, unknown> {
  const [Image, ...Cmd] = parsed.args;
  if (parsed.switch('rm') && parsed.has('restart') && parsed.value('restart') !== 'no')
    throw new GantryError('INVALID_ARGUMENT', 'Conflicting options: cannot specify both --restart and --rm');
  if (parsed.has('disable-content-trust') && !parsed.switch('disable-content-trust'))
    throw new GantryError('UNSUPPORTED', 'Cannot use --disable-content-trust=false: signatures are not verified', {
      hint: 'Name the image by its digest: IMAGE@sha256:…',
      details: { flag: 'disable-content-trust' },
    });
  const published = parsed.list('publish').flatMap(parsePublished);
  const exposed = [...parsed.list('expose').flatMap(parseExposed), ...published.map(({ port }) => port)];
  const volumes = parsed.list('volume').map(parseVolume);
  const entrypoint = parsed.value('entrypoint');
  const stopTimeout = parsed.number('stop-timeout');
  const network = networking(parsed);
  return {
    Image,
    ...(Cmd.length > 0 ? { Cmd } : {}),
    ...(entrypoint === undefined ? {} : { Entrypoint: entrypoint === '' ? [''] : [entrypoint] }),
    Hostname: parsed.value('hostname') ?? '',
    Domainname: parsed.value('domainname') ?? '',
    User: parsed.value('user') ?? '',
    AttachStdin: attach.stdin,
    AttachStdout: attach.stdout,
    AttachStderr: attach.stderr,
    Tty: parsed.switch('tty'),
    OpenStdin: parsed.switch('interactive'),
    StdinOnce: attach.stdin && parsed.switch('interactive'),
    Env: withProxies(readEnvironment(parsed.list('env-file'), parsed.list('env')), engine),
    Labels: readLabels(parsed.list('label-file'), parsed.list('label')),
    ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])),
    Volumes: Object.fromEntries(volumes.filter((volume) => !volume.includes(':')).map((volume) => [volume, {}])),
    WorkingDir: parsed.value('workdir') ?? '',
    StopSignal: parsed.value('stop-signal') ?? '',
    ...(stopTimeout === undefined ? {} : { StopTimeout: stopTimeout }),
    ...healthcheck(parsed),
    HostConfig: {
      ...resources(parsed),
      ...(parsed.switch('tty') ? { ConsoleSize: terminalSize() } : {}),
      Binds: volumes.filter((volume) => volume.includes(':')),
      Mounts: parsed.list('mount').map(parseMount),
      Tmpfs: Object.fromEntries(
        parsed.list('tmpfs').map((text) => {
          const at = text.indexOf(':');
          return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
        }),
      ),
      VolumesFrom: parsed.list('volumes-from'),
      VolumeDriver: parsed.value('volume-driver') ?? '',
      NetworkMode: network.mode,
      PortBindings: bindings(published),
      PublishAllPorts: parsed.switch('publish-all'),
      Dns: parsed.list('dns'),
      DnsSearch: parsed.list('dns-search'),
      DnsOptions: parsed.list('dns-option'),
      ExtraHosts: parsed.list('add-host'),
      Links: parsed.list('link'),
      RestartPolicy: restartPolicy(parsed.value('restart')),
      AutoRemove: parsed.switch('rm'),
      CapAdd: parsed.list('cap-add'),
      CapDrop: parsed.list('cap-drop'),
      Privileged: parsed.switch('privileged'),
      ReadonlyRootfs: parsed.switch('read-only'),
      SecurityOpt: parsed.list('security-opt').map(securityOption),
      GroupAdd: parsed.list('group-add'),
      Init: parsed.switch('init'),
      Ulimits: parsed.list('ulimit').map(ulimit),
      Devices: parsed.list('device').map(parseDevice),
      DeviceCgroupRules: parsed.list('device-cgroup-rule'),
      Sysctls: pairs(parsed.list('sysctl')),
      Annotations: pairs(parsed.list('annotation')),
      PidMode: parsed.value('pid') ?? '',
      IpcMode: parsed.value('ipc') ?? '',
      UTSMode: parsed.value('uts') ?? '',
      UsernsMode: parsed.value('userns') ?? '',
      CgroupnsMode: parsed.value('cgroupns') ?? '',
      CgroupParent: parsed.value('cgroup-parent') ?? '',
      Runtime: parsed.value('runtime') ?? '',
      Isolation: parsed.value('isolation') ?? '',
      LogConfig: { Type: parsed.value('log-driver') ?? '', Config: pairs(parsed.list('log-opt')) },
      Gantry: own(parsed),
    },
    ...network.config,
  };
}

/** What docker's body has no word for. */
function own(parsed: Parsed): object {
  return {
    timeMode: parsed.value('time') ?? '',
    timeOffset: parsed.value('time-offset') ?? '',
    uidMaps: parsed.list('uidmap'),
    gidMaps: parsed.list('gidmap'),
    unified: pairs(parsed.list('cgroup-conf')),
  };
}

function bindings(published: ReturnType<typeof parsePublished>): Record<string, object[]> {
  const found: Record<string, object[]> = {};
  for (const { port, hostIp, hostPort } of published)
    found[port] = [...(found[port] ?? []), { HostIp: hostIp, HostPort: hostPort }];
  return found;
}

export function restartPolicy(text = 'no'): object {
  const [Name = 'no', count] = text.split(':');
  if (count !== undefined && !/^\d+$/.test(count))
    throw invalid('restart', text, 'maximum retry count must be an integer');
  return { Name, MaximumRetryCount: Number(count ?? 0) };
}

/** "seccomp=FILE" sends the file's content as it is: the engine may be elsewhere, and JSON.stringify rounds 64-bit numbers. */
function securityOption(text: string): string {
  const [, path] = /^seccomp[=:](.+)$/.exec(text) ?? [];
  if (path === undefined || path === 'unconfined' || path === 'builtin') return text.replace(/^seccomp:/, 'seccomp=');
  try {
    const profile = readFileSync(path, 'utf8').trim();
    JSON.parse(profile);
    return `seccomp=${profile}`;
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'it is not JSON';
    throw new GantryError('INVALID_ARGUMENT', `Opening seccomp profile (${path}) failed: ${reason}`, { cause });
  }
}

export function ulimit(text: string): object {
  const [, Name, soft, hard = soft] = /^(\w+)=(-?\d+|unlimited)(?::(-?\d+|unlimited))?$/.exec(text) ?? [];
  if (Name === undefined) throw invalid('ulimit', text, 'such as nofile=1024:2048');
  const value = (given: string | undefined): number => (given === 'unlimited' ? -1 : Number(given));
  return { Name, Soft: value(soft), Hard: value(hard) };
}

function healthcheck(parsed: Parsed): object {
  const command = parsed.value('health-cmd');
  const duration = (name: string): number =>
    Math.round(parseDuration(parsed.value(`health-${name}`) ?? '0', `health-${name}`) * 1e9);
  const given = ['cmd', 'interval', 'timeout', 'retries', 'start-period', 'start-interval'].some((name) =>
    parsed.has(`health-${name}`),
  );
  if (parsed.switch('no-healthcheck')) {
    if (given)
      throw new GantryError('INVALID_ARGUMENT', 'Cannot use --no-healthcheck: it conflicts with --health-* options');
    return { Healthcheck: { Test: ['NONE'] } };
  }
  if (!given) return {};
  return {
    Healthcheck: {
      Test: command === undefined ? [] : ['CMD-SHELL', command],
      Interval: duration('interval'),
      Timeout: duration('timeout'),
      StartPeriod: duration('start-period'),
      StartInterval: duration('start-interval'),
      Retries: parsed.number('health-retries') ?? 0,
    },
  };
}

export function resources(parsed: Parsed): object {
  const bytes = (name: string): object | number => {
    const text = parsed.value(name);
    return text === undefined ? 0 : name === 'memory-swap' ? parseBytesOrUnlimited(text, name) : parseBytes(text, name);
  };
  const rates = (name: string, sizes: boolean): object[] =>
    parsed.list(name).map((text) => {
      const at = text.lastIndexOf(':');
      if (at <= 0) throw invalid(name, text, 'such as /dev/sda:1mb');
      const rate = text.slice(at + 1);
      return { Path: text.slice(0, at), Rate: sizes ? parseBytes(rate, name) : Number(rate) };
    });
  const swappiness = parsed.number('memory-swappiness');
  const pids = parsed.number('pids-limit');
  return {
    Memory: bytes('memory'),
    MemoryReservation: bytes('memory-reservation'),
    MemorySwap: bytes('memory-swap'),
    ...(swappiness === undefined ? {} : { MemorySwappiness: swappiness }),
    OomKillDisable: parsed.switch('oom-kill-disable'),
    OomScoreAdj: parsed.number('oom-score-adj') ?? 0,
    NanoCpus: cpus(parsed.value('cpus')),
    CpuShares: parsed.number('cpu-shares') ?? 0,
    CpuPeriod: parsed.number('cpu-period') ?? 0,
    CpuQuota: parsed.number('cpu-quota') ?? 0,
    CpuRealtimePeriod: parsed.number('cpu-rt-period') ?? 0,
    CpuRealtimeRuntime: parsed.number('cpu-rt-runtime') ?? 0,
    CpusetCpus: parsed.value('cpuset-cpus') ?? '',
    CpusetMems: parsed.value('cpuset-mems') ?? '',
    ...(pids === undefined ? {} : { PidsLimit: pids }),
    BlkioWeight: parsed.number('blkio-weight') ?? 0,
    BlkioWeightDevice: parsed.list('blkio-weight-device').map((text) => {
      const at = text.lastIndexOf(':');
      return { Path: text.slice(0, at), Weight: Number(text.slice(at + 1)) };
    }),
    BlkioDeviceReadBps: rates('device-read-bps', true),
    BlkioDeviceWriteBps: rates('device-write-bps', true),
    BlkioDeviceReadIOps: rates('device-read-iops', false),
    BlkioDeviceWriteIOps: rates('device-write-iops', false),
    ...(parsed.has('shm-size') ? { ShmSize: bytes('shm-size') } : {}),
  };
}

/** "0.5" → 500000000. */
function cpus(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d*\.?\d+$/.test(text)) throw invalid('cpus', text, 'it must be a number of CPUs, such as 1.5');
  return Math.round(Number(text) * 1e9);
}
