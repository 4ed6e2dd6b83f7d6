// What a container is made of, in docker's words and JavaScript's spelling.
import type { Abortable } from './abort.ts';

/** Bytes, or docker's text for them: `'256m'`, `'1.5g'`. */
export type ByteSize = number | string;

/** Something of the host, or a volume, in the container's file system. */
export interface MountOptions {
  type: 'bind' | 'volume' | 'tmpfs';
  /** Path of the host (bind) or name of a volume; a volume without one is the container's own. */
  source?: string;
  /** Path in the container. */
  target: string;
  readOnly?: boolean;
}

/** A port of the container at the host. */
export interface PortOptions {
  containerPort: number;
  /** Default: one that is free. */
  hostPort?: number;
  /** Default: all addresses of the host. */
  hostIp?: string;
  /** Default: `'tcp'`. */
  protocol?: 'tcp' | 'udp';
}

/** A command that tells whether the container is well. Times in milliseconds; what is left out is the image's, or docker's default. */
export interface HealthcheckOptions {
  /** A text is run by a shell. */
  cmd: string | string[];
  intervalMs?: number;
  timeoutMs?: number;
  startPeriodMs?: number;
  startIntervalMs?: number;
  retries?: number;
}

/** What a container is made of. What is left out is the image's, or docker's default. */
export interface ContainerOptions {
  image: string;
  /** The command's words; no shell takes them apart. */
  cmd?: string[];
  entrypoint?: string[];
  /** Name of the container; default: one is made up. */
  name?: string;
  env?: Record<string, string>;
  labels?: Record<string, string>;
  workdir?: string;
  /** `'name'`, `'uid'`, `'name:group'`, `'uid:gid'`. */
  user?: string;
  groupAdd?: string[];
  hostname?: string;
  /** A port of the container (at a free one of the host), docker's text `'8080:80'`, `'127.0.0.1::53/udp'`, or an object. */
  ports?: (number | string | PortOptions)[];
  /** Docker's texts: `'/host/path:/path:ro'`, `'name:/path'`, `'/path'`. */
  volumes?: string[];
  mounts?: MountOptions[];
  /** Path → mount options, `''` for the default ones. */
  tmpfs?: Record<string, string>;
  /** `'bridge'`, `'none'`, `'host'`, `'container:NAME'` or the name of a network. */
  network?: string;
  /** Further names in a network of one's own. */
  networkAliases?: string[];
  /** `'name:address'`. */
  addHosts?: string[];
  dns?: string[];
  memory?: ByteSize;
  /** Memory plus swap; -1: as much swap as there is. */
  memorySwap?: ByteSize;
  /** CPUs, such as 1.5. */
  cpus?: number;
  /** `'0-2,7'`. */
  cpusetCpus?: string;
  pidsLimit?: number;
  shmSize?: ByteSize;
  ulimits?: Record<string, number | { soft: number; hard: number }>;
  sysctls?: Record<string, string>;
  /** The root file system cannot be written to. */
  readOnly?: boolean;
  capAdd?: string[];
  capDrop?: string[];
  privileged?: boolean;
  /** `'no-new-privileges'`, `'seccomp=unconfined'`, … */
  securityOpt?: string[];
  /** A first process that reaps and forwards signals. */
  init?: boolean;
  /** `'no'`, `'always'`, `'unless-stopped'`, `'on-failure'`, `'on-failure:3'`. */
  restart?: string;
  stopSignal?: string;
  /** Seconds from the stop signal to SIGKILL. */
  stopTimeout?: number;
  /** `false`: none, not even the image's. */
  healthcheck?: HealthcheckOptions | false;
  /** What stands between the container and this host. */
  isolation?: 'process' | 'vm' | 'wasm';
  /** The container has a terminal; its output is one stream. */
  tty?: boolean;
  /** The engine removes the container when it ends. */
  rm?: boolean;
}

/** How the image is come by. */
export interface PullPolicy {
  /** Whether the image is pulled: where it is `'missing'` (default), `'always'`, `'never'`. */
  pull?: 'missing' | 'always' | 'never';
  /** `'linux/arm64'`. */
  platform?: string;
}

/** Options of {@link Engine.create} and {@link Engine.start}. */
export interface CreateOptions extends ContainerOptions, PullPolicy, Abortable {
  /** The container has a standard input, which {@link Container.attach} writes to. */
  openStdin?: boolean;
}
