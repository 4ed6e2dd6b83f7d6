// A create request over an image's configuration → the container's configuration, by docker's rules.
import { posix } from 'node:path';
import { GantryError } from '../errors.ts';
import type { ContainerConfig, Healthcheck, Image } from '../types.ts';

/** What a user asks for. Empty text and absent fields leave it to the image. */
export interface ContainerInput extends Omit<ContainerConfig, 'imageId' | 'entrypoint' | 'command'> {
  entrypoint?: string[];
  command?: string[];
}

/** @throws {GantryError} INVALID_ARGUMENT where nothing says what to run. */
export function mergeConfig(input: ContainerInput, image: Image): ContainerConfig {
  const base = image.config;
  // An entrypoint of the user's own drops the image's command too: it was meant for another program.
  const entrypoint = input.entrypoint ?? base.entrypoint;
  const command = input.command ?? (input.entrypoint === undefined ? base.command : []);
  if (entrypoint.length + command.length === 0)
    throw new GantryError('INVALID_ARGUMENT', `Cannot create a container of "${input.image}": no command specified`, {
      hint: 'The image has no default command; give one behind its name',
    });
  const healthcheck = mergeHealthcheck(input.healthcheck, base.healthcheck);
  const shell = input.shell ?? base.shell;
  const { healthcheck: _own, shell: _shell, ...rest } = input;
  return {
    ...rest,
    imageId: image.id,
    entrypoint,
    command,
    env: mergeEnv(base.env, input.env),
    workingDir: input.workingDir || base.workingDir || '/',
    user: input.user || base.user,
    labels: { ...base.labels, ...input.labels },
    exposedPorts: [...new Set([...base.exposedPorts.map(withProtocol), ...input.exposedPorts.map(withProtocol)])],
    volumes: [...new Set([...base.volumes, ...input.volumes].map(cleanTarget))],
    host: {
      ...input.host,
      mounts: input.host.mounts.map((mount) => ({ ...mount, target: cleanTarget(mount.target) })),
      tmpfs: Object.fromEntries(
        Object.entries(input.host.tmpfs).map(([path, options]) => [cleanTarget(path), options]),
      ),
    },
    stopSignal: input.stopSignal || base.stopSignal || 'SIGTERM',
    ...(healthcheck === undefined ? {} : { healthcheck }),
    ...(shell === undefined || shell.length === 0 ? {} : { shell }),
  };
}

/** Without "//", "." and "..": what names the same place is the same text. */
function cleanTarget(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
}

function withProtocol(port: string): string {
  return port.includes('/') ? port : `${port}/tcp`;
}

/** Later assignments replace earlier ones in their place; "NAME" without "=" takes the variable away. */
export function mergeEnv(base: string[], own: string[]): string[] {
  const merged = new Map<string, string | undefined>();
  for (const entry of [...base, ...own]) {
    const at = entry.indexOf('=');
    merged.set(at < 0 ? entry : entry.slice(0, at), at < 0 ? undefined : entry);
  }
  return [...merged.values()].filter((entry) => entry !== undefined);
}

/** What is not given is the image's, one field after the other. */
function mergeHealthcheck(own: Healthcheck | undefined, base: Healthcheck | undefined): Healthcheck | undefined {
  if (own === undefined || base === undefined) return own ?? base;
  const test = own.test.length > 0 ? own.test : base.test;
  const times = Object.entries(own).filter(([key, value]) => key !== 'test' && value !== 0);
  return { ...base, ...Object.fromEntries(times), test };
}
