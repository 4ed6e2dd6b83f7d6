// Names of every file and directory below the engine's roots.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { EnginePaths } from '../paths.ts';

export interface ContainerFiles {
  directory: string;
  record: string;
  upper: string;
  work: string;
  log: string;
  exitRecord: string;
  hosts: string;
  hostname: string;
  resolvConf: string;
  /** Unix socket of its supervisor, below the run root. */
  controlSocket: string;
}

export interface EngineFiles {
  containers: string;
  volumes: string;
  trash: string;
  emptyDirectory: string;
  of(id: string): ContainerFiles;
}

/** Digits of an ID in the path of its socket; the whole would be too long. */
const SOCKET_ID = 24;

export function engineFiles({ dataRoot, runRoot }: EnginePaths): EngineFiles {
  const containers = join(dataRoot, 'containers');
  return {
    containers,
    volumes: join(dataRoot, 'volumes'),
    trash: join(dataRoot, 'trash'),
    emptyDirectory: join(dataRoot, 'empty'),
    of(id) {
      const directory = join(containers, id);
      return {
        directory,
        record: join(directory, 'container.json'),
        upper: join(directory, 'upper'),
        work: join(directory, 'work'),
        log: join(directory, 'output.log'),
        exitRecord: join(directory, 'exit.json'),
        hosts: join(directory, 'hosts'),
        hostname: join(directory, 'hostname'),
        resolvConf: join(directory, 'resolv.conf'),
        controlSocket: join(runRoot, 'c', `${id.slice(0, SOCKET_ID)}.sock`),
      };
    },
  };
}

/** Makes the fixed directories. The two empty ones are what masks and pivots use; nothing is ever put into them. */
export function makeDirectories(files: EngineFiles, { runRoot }: EnginePaths): void {
  for (const path of [files.containers, files.volumes, files.trash, join(runRoot, 'c')])
    mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const path of [files.emptyDirectory, `${files.emptyDirectory}-mask`])
    mkdirSync(path, { recursive: true, mode: 0o555 });
}

/** The files in it are written when they are needed: each costs its part of a millisecond on a disk. */
export function makeContainerDirectory(files: ContainerFiles): void {
  mkdirSync(files.directory, { mode: 0o700 });
  for (const path of [files.upper, files.work]) mkdirSync(path, { mode: 0o755 });
}
