// The directory and the file that docker's clients share: ~/.docker/config.json. Read at every start of a command: keep it light.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { GantryError } from './errors.ts';

export function dockerDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return env.DOCKER_CONFIG || join(homedir(), '.docker');
}

/** The part of the file that docker's clients keep for others, by their names. */
export interface DockerPlugins {
  plugins: { gantry?: { context?: string }; [other: string]: unknown };
}

export function dockerConfigPath(): string {
  return join(dockerDirectory(), 'config.json');
}

/** A file that is missing or cannot be read says nothing. */
export function readDockerConfig<T extends object>(): Partial<T> {
  try {
    const file = JSON.parse(readFileSync(dockerConfigPath(), 'utf8')) as T;
    return file !== null && typeof file === 'object' ? file : {};
  } catch {
    return {};
  }
}

/** Whatever else the file says stays in it. @throws {GantryError} STATE_DAMAGED where it is no JSON: nothing is lost. */
export function changeDockerConfig<T extends object>(edit: (file: Partial<T>) => object): void {
  const path = dockerConfigPath();
  let file: Partial<T> = {};
  try {
    file = JSON.parse(readFileSync(path, 'utf8')) as Partial<T>;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new GantryError('STATE_DAMAGED', `Cannot change "${path}": ${(cause as Error).message}`, { cause });
  }
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify(edit(file), null, '\t')}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
