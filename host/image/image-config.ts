// OCI image configuration (image-spec, config.md; Docker's spelling is the same) → the engine's words.
import { GantryError } from '../errors.ts';
import { checkImageConfig } from './image-config-types.ts';
import type { Healthcheck, Image, ImageConfig, ImageHistory, Platform } from '../types.ts';

interface RawHealthcheck {
  Test?: string[];
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

interface RawConfig {
  architecture?: string;
  os?: string;
  variant?: string;
  created?: string;
  author?: string;
  config?: {
    User?: string;
    ExposedPorts?: Record<string, unknown>;
    Env?: string[] | null;
    Entrypoint?: string[] | null;
    Cmd?: string[] | null;
    Volumes?: Record<string, unknown> | null;
    WorkingDir?: string;
    Labels?: Record<string, string> | null;
    StopSignal?: string;
    Healthcheck?: RawHealthcheck;
    Shell?: string[];
    OnBuild?: string[] | null;
  };
  rootfs?: { type?: string; diff_ids?: string[] };
  history?: { created?: string; created_by?: string; comment?: string; author?: string; empty_layer?: boolean }[];
}

export type ParsedConfig = Omit<Image, 'id' | 'tags' | 'taggedAt' | 'manifest' | 'digests' | 'size' | 'layerSizes'>;

/** @throws {GantryError} INVALID_ARCHIVE where the JSON is no image configuration. */
export function parseImageConfig(bytes: Uint8Array, what: string): ParsedConfig {
  let raw: RawConfig;
  try {
    raw = JSON.parse(Buffer.from(bytes).toString()) as RawConfig;
  } catch (cause) {
    throw new GantryError('INVALID_ARCHIVE', `Cannot read the configuration of "${what}": it is not JSON`, { cause });
  }
  checkImageConfig(raw, what);
  const diffIds = raw.rootfs!.diff_ids!;
  return {
    platform: platformOf(raw),
    created: raw.created ?? '0001-01-01T00:00:00Z',
    ...(raw.author ? { author: raw.author } : {}),
    diffIds,
    config: parseConfig(raw.config ?? {}),
    history: (raw.history ?? []).map(parseHistory),
  };
}

function platformOf({ os = 'linux', architecture = 'amd64', variant }: RawConfig): Platform {
  return { os, architecture, ...(variant ? { variant } : {}) };
}

function parseConfig(config: NonNullable<RawConfig['config']>): ImageConfig {
  return {
    user: config.User ?? '',
    exposedPorts: Object.keys(config.ExposedPorts ?? {}),
    env: config.Env ?? [],
    entrypoint: config.Entrypoint ?? [],
    command: config.Cmd ?? [],
    volumes: Object.keys(config.Volumes ?? {}),
    workingDir: config.WorkingDir ?? '',
    labels: config.Labels ?? {},
    stopSignal: config.StopSignal ?? '',
    ...(config.Healthcheck ? { healthcheck: parseHealthcheck(config.Healthcheck) } : {}),
    ...(config.Shell ? { shell: config.Shell } : {}),
    ...(config.OnBuild ? { onBuild: config.OnBuild } : {}),
  };
}

function parseHealthcheck(raw: RawHealthcheck): Healthcheck {
  return {
    test: raw.Test ?? [],
    interval: raw.Interval ?? 0,
    timeout: raw.Timeout ?? 0,
    startPeriod: raw.StartPeriod ?? 0,
    startInterval: raw.StartInterval ?? 0,
    retries: raw.Retries ?? 0,
  };
}

function parseHistory(entry: NonNullable<RawConfig['history']>[number]): ImageHistory {
  return {
    ...(entry.created ? { created: entry.created } : {}),
    ...(entry.created_by ? { createdBy: entry.created_by } : {}),
    ...(entry.comment ? { comment: entry.comment } : {}),
    ...(entry.author ? { author: entry.author } : {}),
    ...(entry.empty_layer ? { emptyLayer: true } : {}),
  };
}

function orNothing<K extends string, V>(key: K, value: V[] | undefined): { [key in K]?: V[] } {
  return value === undefined || value.length === 0 ? {} : ({ [key]: value } as { [key in K]: V[] });
}

function keySet(names: string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, {}]));
}

/** What `parseConfig` reads, written; empty parts are left away. */
function rawConfig(config: ImageConfig): NonNullable<RawConfig['config']> {
  const { healthcheck: check } = config;
  return {
    ...(config.user ? { User: config.user } : {}),
    ...(config.exposedPorts.length > 0 ? { ExposedPorts: keySet(config.exposedPorts) } : {}),
    ...orNothing('Env', config.env),
    ...orNothing('Entrypoint', config.entrypoint),
    ...orNothing('Cmd', config.command),
    ...(config.volumes.length > 0 ? { Volumes: keySet(config.volumes) } : {}),
    ...(config.workingDir ? { WorkingDir: config.workingDir } : {}),
    ...(Object.keys(config.labels).length > 0 ? { Labels: config.labels } : {}),
    ...(config.stopSignal ? { StopSignal: config.stopSignal } : {}),
    ...(check
      ? {
          Healthcheck: {
            ...orNothing('Test', check.test),
            ...(check.interval ? { Interval: check.interval } : {}),
            ...(check.timeout ? { Timeout: check.timeout } : {}),
            ...(check.startPeriod ? { StartPeriod: check.startPeriod } : {}),
            ...(check.startInterval ? { StartInterval: check.startInterval } : {}),
            ...(check.retries ? { Retries: check.retries } : {}),
          },
        }
      : {}),
    ...orNothing('Shell', config.shell),
    ...orNothing('OnBuild', config.onBuild),
  };
}

/** The JSON of a configuration, whose digest is the image's ID. */
export function writeImageConfig(image: ParsedConfig): Buffer {
  const raw: RawConfig = {
    created: image.created,
    ...(image.author ? { author: image.author } : {}),
    architecture: image.platform.architecture,
    ...(image.platform.variant ? { variant: image.platform.variant } : {}),
    os: image.platform.os,
    config: rawConfig(image.config),
    rootfs: { type: 'layers', diff_ids: image.diffIds },
    history: image.history.map(({ created, createdBy, comment, author, emptyLayer }) => ({
      ...(created ? { created } : {}),
      ...(createdBy ? { created_by: createdBy } : {}),
      ...(author ? { author } : {}),
      ...(comment ? { comment } : {}),
      ...(emptyLayer ? { empty_layer: true } : {}),
    })),
  };
  return Buffer.from(JSON.stringify(raw));
}

/** This machine's platform in OCI words. */
export function hostPlatform(): Platform {
  const architecture =
    { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' }[process.arch as string] ?? process.arch;
  return { os: 'linux', architecture, ...(architecture === 'arm64' ? { variant: 'v8' } : {}) };
}

/** "linux/arm64/v8" → its parts. @throws {GantryError} INVALID_ARGUMENT. */
export function parsePlatform(text: string): Platform {
  const [os = '', architecture, variant, ...more] = text.split('/');
  if (architecture === undefined || os === '' || more.length > 0)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the platform "${text}"`, { hint: 'Such as linux/amd64' });
  const names: Record<string, string> = { x86_64: 'amd64', aarch64: 'arm64' };
  return { os, architecture: names[architecture] ?? architecture, ...(variant ? { variant } : {}) };
}

/** Whether an image of `found` serves where `wanted` is asked for; a variant counts only where both name one. */
export function matchesPlatform(found: Platform, wanted: Platform): boolean {
  return (
    found.os === wanted.os &&
    found.architecture === wanted.architecture &&
    (!found.variant || !wanted.variant || found.variant === wanted.variant)
  );
}

export function platformText({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/');
}

/** Processors run the programs of their 32-bit ancestors (containerd's platforms.Only). */
const ancestors: Record<string, string> = { amd64: '386', arm64: 'arm' };

export function runsOn(image: Platform, host: Platform): boolean {
  const isAncestor = ancestors[host.architecture] === image.architecture && image.os === host.os;
  // Modules of WebAssembly run everywhere.
  return isAncestor || image.architecture === 'wasm' || matchesPlatform(image, host);
}

/** What says nothing. */
export function emptyConfig(): ImageConfig {
  return {
    user: '',
    exposedPorts: [],
    env: [],
    entrypoint: [],
    command: [],
    volumes: [],
    workingDir: '',
    labels: {},
    stopSignal: '',
  };
}
