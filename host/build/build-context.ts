// One build's surroundings: what every step of it works with. Types, and what makes containers for it.
import type { Container } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import type { Draft } from '../image/builds.ts';
import type { HostConfig } from '../types.ts';
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

const host: HostConfig = {
  autoRemove: true,
  resources: {},
  mounts: [],
  volumesFrom: [],
  networkMode: 'none',
  ports: [],
  publishAllPorts: false,
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  extraHosts: [],
  restartPolicy: { name: 'no', maximumRetryCount: 0 },
  capAdd: [],
  capDrop: [],
  privileged: false,
  readonlyRootfs: false,
  securityOpt: [],
  tmpfs: {},
  init: false,
  ulimits: [],
  devices: [],
  sysctls: {},
  pidMode: '',
  ipcMode: '',
  utsMode: '',
  userMode: '',
  cgroupMode: '',
  cgroupParent: '',
  oomScoreAdj: 0,
  logConfig: { type: 'none', config: {} },
};

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
      ...{ image, command, env, user, workingDir, host: { ...host, ...given } },
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
