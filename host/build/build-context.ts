// One build's surroundings: what every step of it works with. Types, and what makes containers for it.
import type { Container } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import type { Draft } from '../image/builds.ts';
import { plainHostConfig } from '../engine/plain-host-config.ts';
import type { HostConfig, LogConfig } from '../types.ts';
import type { BuildRequest } from './build-request.ts';
import type { Dockerfile } from './dockerfile/ast.ts';
import type { DirectoryNode, Spool } from './files/tree.ts';
import type { ScratchSpace } from './scratch-space.ts';
import type { SharedWork } from './shared-work.ts';
import type { Tell } from './told.ts';

export interface BuildContext {
  engine: Engine;
  request: BuildRequest;
  dockerfile: Dockerfile;
  /** Files of the client. */
  files: DirectoryNode;
  spool: Spool;
  scratch: ScratchSpace;
  shared: SharedWork;
  tell: Tell;
  /** The client has gone, or another stage has failed. */
  signal: AbortSignal;
  /** SOURCE_DATE_EPOCH, seconds. */
  epoch: number | undefined;
}

const NO_LOG: LogConfig = { type: 'none', config: {} };

export interface ContainerWanted {
  draft: Draft;
  command: string[];
  env?: string[];
  user?: string;
  workingDir?: string;
  host?: Partial<HostConfig>;
}

/** Works with a container whose root is a draft's files; it goes when the work is over. */
export async function withContainer<T>(
  { engine }: Pick<BuildContext, 'engine'>,
  { draft, command, env = [], user = '', workingDir = '', host: given = {} }: ContainerWanted,
  work: (container: Container) => Promise<T>,
): Promise<T> {
  const { images } = engine;
  // Until the container is there its image is nobody's.
  const container = await images.arrival(async () => {
    const image = await images.builds.stepImage(draft);
    const input = {
      ...{
        image,
        command,
        env,
        user,
        workingDir,
        host: plainHostConfig({ autoRemove: true, logConfig: NO_LOG, ...given }),
      },
      ...{ hostname: '', domainname: '', tty: false, openStdin: false, stdinOnce: false },
      ...{ attachStdin: false, attachStdout: true, attachStderr: true },
      ...{ labels: {}, exposedPorts: [], volumes: [], stopSignal: '' },
    };
    return engine.create(undefined, input, true);
  });
  // Its changes are still to be read when it has ended.
  const letGo = engine.keep(container);
  try {
    return await work(container);
  } finally {
    letGo();
    await engine.remove(container, { force: true, volumes: true });
  }
}
