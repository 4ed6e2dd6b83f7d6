// Names of every file and directory below the engine's roots.
import { closeSync, constants, existsSync, lstatSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { GantryError } from '../../errors.ts';
import type { EnginePaths } from '../../paths.ts';
import type { SpareDirectories } from './spare-directories.ts';

export interface ContainerFiles {
  directory: string;
  /** container.json: what must survive a reboot. */
  record: string;
  /** The same for a container of --rm, which a reboot ends for good. */
  volatileRecord: string;
  upper: string;
  work: string;
  log: string;
  /** Below the memory root, as the rest: what the next start makes anew, and what no reboot needs to survive. */
  runDirectory: string;
  exitRecord: string;
  /** There while a start is under way: what only its plan knows. */
  startRecord: string;
  hosts: string;
  hostname: string;
  resolvConf: string;
  /** Unix socket of its supervisor. */
  controlSocket: string;
  /** Unix socket of its resolver, in user-defined networks. */
  resolver: string;
}

export interface EngineFiles {
  containers: string;
  volumes: string;
  /** Holds a directory for each user-defined network, named by its ID. */
  networks: string;
  trash: string;
  /** Holds the containers' run directories, named by the first digits of their IDs. */
  running: string;
  emptyDirectory: string;
  /** Lowest layer of every root: the directories and files that others are mounted on. */
  scaffold: string;
  of(id: string): ContainerFiles;
}

/** Digits of an ID in the path of its socket; the whole would be too long. */
const SOCKET_ID = 24;

export function engineFiles({ dataRoot, memoryRoot }: EnginePaths): EngineFiles {
  const containers = join(dataRoot, 'containers');
  const running = join(memoryRoot, 'c');
  return {
    containers,
    volumes: join(dataRoot, 'volumes'),
    networks: join(dataRoot, 'networks'),
    trash: join(dataRoot, 'trash'),
    running,
    emptyDirectory: join(dataRoot, 'empty'),
    scaffold: join(dataRoot, 'scaffold'),
    of(id) {
      // Joined by hand, here and below: this is asked several times in each container's life.
      const directory = `${containers}/${id}`;
      const runDirectory = `${running}/${id.slice(0, SOCKET_ID)}`;
      return {
        directory,
        record: `${directory}/container.json`,
        upper: `${directory}/upper`,
        work: `${directory}/work`,
        log: `${directory}/output.log`,
        runDirectory,
        volatileRecord: `${runDirectory}/container.json`,
        exitRecord: `${runDirectory}/exit.json`,
        startRecord: `${runDirectory}/start.json`,
        hosts: `${runDirectory}/hosts`,
        hostname: `${runDirectory}/hostname`,
        resolvConf: `${runDirectory}/resolv.conf`,
        controlSocket: `${runDirectory}/control`,
        resolver: `${runDirectory}/names`,
      };
    },
  };
}

/** Makes the fixed directories; `fresh`: the data root had none. The two empty ones are what masks and pivots use; nothing is ever put into them. */
export function makeDirectories(files: EngineFiles): { fresh: boolean } {
  const fresh = !existsSync(files.containers);
  for (const path of [files.containers, files.volumes, files.networks, files.trash, files.running])
    mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const path of [files.emptyDirectory, `${files.emptyDirectory}-mask`])
    mkdirSync(path, { recursive: true, mode: 0o555 });
  makeScaffold(files.scaffold);
  return { fresh };
}

/**
 * What every start mounts something on. Without it each container would make these in its own writable layer, where an
 * image lacks them: a copy-up each. An image's own entries of the same names are above and win.
 */
function makeScaffold(path: string): void {
  for (const name of ['dev', 'etc', 'proc', 'sys']) mkdirSync(join(path, name), { recursive: true, mode: 0o755 });
  for (const name of ['hostname', 'hosts', 'resolv.conf'])
    closeSync(openSync(join(path, 'etc', name), constants.O_CREAT | constants.O_RDONLY, 0o644));
}

/** The files in it are written when they are needed: each costs its part of a millisecond on a disk. */
export function makeContainerDirectory(files: ContainerFiles, spares: SpareDirectories): void {
  if (!spares.take(files.directory)) {
    mkdirSync(files.directory, { mode: 0o700 });
    for (const path of [files.upper, files.work]) mkdirSync(path, { mode: 0o755 });
  }
  mkdirSync(files.runDirectory, { recursive: true, mode: 0o700 });
}

/**
 * Makes a directory that only this user may enter; its parent may be open to all (/dev/shm).
 * @throws {GantryError} STATE_DAMAGED where somebody else made it first.
 */
export function makePrivate(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(path);
  if (uid === (process.getuid?.() ?? uid) && (mode & 0o170077) === 0o040000) return;
  throw new GantryError('STATE_DAMAGED', `Cannot use "${path}": it is not a directory that only this user may enter`, {
    hint: 'Remove it; an engine makes it anew',
  });
}
