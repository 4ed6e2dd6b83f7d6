// What the engine remembers of a container; the whole of it is its container.json. Types only.
import type { ContainerConfig, Mount, PortBinding, Resources } from '../types.ts';

export type Status = 'created' | 'running' | 'paused' | 'restarting' | 'exited' | 'dead';

export interface ContainerState {
  status: Status;
  /** 0 where it does not run. */
  pid: number;
  exitCode: number;
  oomKilled: boolean;
  /** Why the last start failed; empty: it did not. */
  error: string;
  /** ISO 8601; empty: never. */
  startedAt: string;
  finishedAt: string;
  restartCount: number;
  /** Stopped by a user: "unless-stopped" and "always" leave it so. */
  stoppedByUser: boolean;
  /** Paused by the engine itself, for a moment: the next one lets it go on. */
  pausedForCommit?: boolean;
  /** Absent where the container has no health check, or has not started yet. */
  health?: Health | undefined;
}

export interface Health {
  status: 'starting' | 'healthy' | 'unhealthy';
  /** Failures since the last success, those of the start period left out. */
  failingStreak: number;
  /** The last results, oldest first. */
  log: ProbeResult[];
}

export interface ProbeResult {
  /** ISO 8601. */
  start: string;
  end: string;
  /** -1: it was not carried out, or took too long. */
  exitCode: number;
  output: string;
}

/** A mount with its source settled at creation. */
export interface MountPoint {
  type: 'bind' | 'volume' | 'tmpfs' | 'image';
  /** Volume's or image's name; empty otherwise. */
  name: string;
  source: string;
  target: string;
  readOnly: boolean;
  /** Options in the user's words. */
  mode?: string;
  /** Volume's driver; absent: "local". */
  driver?: string;
  propagation: string;
  /** The ids on disk are those of the container. */
  idmap?: boolean;
  /** Still to be filled from the image. */
  copyUp: boolean;
  /** How it was asked for; another container's where it came with --volumes-from. */
  spec?: Mount;
  /** Of an image: its ID, and the directories of its layers, uppermost first. */
  image?: { id: string; layers: string[] };
}

/** Maps of a user namespace, "CONTAINER:HOST:SIZE". */
export interface IdMaps {
  uid: string[];
  gid: string[];
}

/** The container's place in one network while it runs. */
export interface Endpoint {
  network: string;
  networkId: string;
  endpointId: string;
  mac: string;
  ipv4: string;
  ipv4PrefixLength: number;
  gateway: string;
  ipv6: string;
  ipv6PrefixLength: number;
  ipv6Gateway: string;
  /** In the container: "eth0", and its index. */
  interfaceName: string;
  interfaceIndex: number;
  /** On its way in or out: an engine that finds it so takes the container out. */
  changing?: true;
}

export interface ContainerRecord {
  version: 1;
  id: string;
  name: string;
  /** ISO 8601. */
  created: string;
  config: ContainerConfig;
  state: ContainerState;
  mounts: MountPoint[];
  /** By network name. */
  endpoints: Record<string, Endpoint>;
  /** Published while it runs, host ports settled. */
  ports: PortBinding[];
  /** Name of the network that they lead to. */
  publishedBy?: string;
  warnings: string[];
  /** Its user namespace: its own is settled at creation, another container's at start; absent: the host's. */
  idMaps?: IdMaps;
  /** Limits that were in force while those of the configuration are being written: the next engine writes them again. */
  updatedFrom?: Resources;
  /** It goes, with its anonymous volumes: the next engine finishes that. */
  removing?: true;
  /** Carries out an instruction of a build: the next engine, which does not know that build, removes it. */
  forBuild?: true;
}
