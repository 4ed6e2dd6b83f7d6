// What the planning core takes and gives. Types only.
import type { ContainerConfig, Mount } from './types.ts';

export interface CgroupFacts {
  layout: 'v1' | 'hybrid' | 'v2';
  /** v1 and hybrid: controller → mount point; v2: "" → mount point. */
  mounts: Record<string, string>;
  /** Controllers that exist, in v2 spelling where both have one: cpu cpuset memory pids io hugetlb; v1: also cpuacct devices freezer blkio net_cls net_prio perf_event. */
  controllers: string[];
}

/** What planning needs to know of the machine that will run the plan. */
export interface HostFacts {
  architecture: 'x86_64' | 'aarch64';
  /** [6, 18]. */
  kernel: [number, number];
  cgroup: CgroupFacts;
  /** Number of online CPUs. */
  cpus: number;
  /** Online CPUs and memory nodes in list format. */
  cpusetCpus: string;
  cpusetMems: string;
  memoryBytes: number;
  swapAccounting: boolean;
  /** "apparmor", "selinux", "time_namespace", "idmapped_mounts", "seccomp", "overlay", "mount_attr_recursive", "bfq", … that exist. */
  features: string[];
  /** Effective capabilities, bit n = capability n. */
  capabilities: string[];
  /** This process's hard limits, by name without RLIMIT_, lower case; -1 unlimited. */
  hardLimits: Record<string, number>;
  /** Current oom_score_adj and its floor. */
  oomScoreAdj: number;
  pageSize: number;
  /** Path → [major, minor, "b" or "c"] of the host devices that the request names. */
  devices: Record<string, [number, number, string]>;
}

export interface PlanRootfs {
  /** Layer directories, uppermost first. */
  lower: string[];
  /** Absent: no overlay, `lower[0]` is the root file system itself. */
  upper?: string;
  work?: string;
  /** Skip syncs: the container is removed on exit. */
  volatile: boolean;
}

/** A mount with everything resolved by the engine: volumes are host paths, sources exist. */
export interface PlanMount extends Mount {
  /** Whether the source is a directory (else a file). */
  sourceIsDirectory: boolean;
  /** Copy the image's content into it first. */
  copyUp?: boolean;
  /** Directories of an image's layers, uppermost first. */
  layers?: string[];
}

/** One interface of the container; everything already allocated. */
export interface PlanInterface {
  /** Host bridge's name and interface index. */
  bridge: string;
  bridgeIndex: number;
  /** Host side of the veth, at most 15 characters. */
  hostName: string;
  /** In the container: eth0, eth1. */
  name: string;
  /** Its index there, and that of the host side; absent: by its place in a network without others. */
  index?: number;
  hostIndex?: number;
  /** Bytes; absent: the kernel's default. */
  mtu?: number;
  mac: string;
  /** "172.17.0.2/16". */
  addresses: string[];
  /** Default routes; at most one per family over all interfaces. */
  gateways: string[];
  /** Frames may leave by the bridge port they came in: with published ports. */
  hairpin?: boolean;
  /** Frames go to and from the host only. */
  isolated?: boolean;
}

/** Where a container's questions for names go. */
export interface PlanResolver {
  /** Unix socket of this host where they are answered. */
  socket: string;
  /** In the container. */
  address: string;
  port: number;
  /** What leads there: the well-known ports, in the words of published ones. */
  ports: PlanPort[];
}

/** A published port that the kernel carries: one element of a map in the bridge's table. */
export interface PlanPort {
  /** Whose it is: the beginning of a container's ID. */
  owner: string;
  /** Address of this host; empty: every one of the container address's family. */
  hostIp: string;
  hostPort: number;
  protocol: 'tcp' | 'udp';
  /** The container's. */
  address: string;
  containerPort: number;
}

export interface PlanFirewall {
  /** Name of the bridge's tables. */
  table: string;
  ports: PlanPort[];
}

export interface PlanNetwork {
  mode: 'none' | 'private' | 'host' | 'join';
  /** For join: pid whose network namespace is entered. */
  pid?: number;
  interfaces: PlanInterface[];
  /** net.* defaults: ip_unprivileged_port_start=0, ping_group_range as docker. */
  sysctls: Record<string, string>;
  /** What is published while the container runs. */
  firewall?: PlanFirewall;
  /** Names of other containers. */
  resolver?: PlanResolver;
}

export interface PlanPaths {
  /** Host files bound over /etc/hosts, /etc/hostname, /etc/resolv.conf; empty: not bound. */
  hosts: string;
  hostname: string;
  resolvConf: string;
  controlSocket: string;
  log: string;
  logMaxSize?: number;
  logMaxFiles?: number;
  /** What is rotated is compressed. */
  logCompress?: boolean;
  /** Bytes that may wait to be written; absent: the container waits instead. */
  logBuffer?: number;
  exitRecord: string;
  /** The executor's copy that serves as /sbin/docker-init. */
  init: string;
  /** An empty read-only directory of the host. */
  emptyDirectory: string;
  /** Host file bound as the container's docker socket: none by default. */
}

export interface PlanRequest {
  id: string;
  facts: HostFacts;
  container: ContainerConfig;
  rootfs: PlanRootfs;
  mounts: PlanMount[];
  network: PlanNetwork;
  paths: PlanPaths;
  /** Numbers resolved from the image's /etc/passwd and /etc/group. */
  user: { uid: number; gid: number; additionalGids: number[]; home: string };
  /** Pids of the containers that namespace modes "container:…" name, by namespace: pid, ipc, uts, … */
  joinPids: Record<string, number>;
  /** Name of the cgroup below the parent; a pool slot's name where the launcher waits in it already. */
  pooledSlot?: string;
}

export interface ExecRequest {
  facts: HostFacts;
  id: string;
  container: ContainerConfig;
  args: string[];
  env: string[];
  workingDir: string;
  user: { uid: number; gid: number; additionalGids: number[]; home: string };
  tty: boolean;
  openStdin: boolean;
  privileged: boolean;
  /** Rows and columns. */
  consoleSize?: [number, number];
}

/** "keeping kinds": a directory and something else do not take each other's place. */
export type ArchiveAction = 'stat' | 'pack' | 'unpack' | 'unpack keeping kinds';

/** Files of a container to be read or written by the executor itself. */
export interface ArchiveRequest extends Pick<PlanRequest, 'facts' | 'id' | 'container' | 'rootfs' | 'mounts'> {
  paths: Pick<PlanPaths, 'hosts' | 'hostname' | 'resolvConf' | 'emptyDirectory'>;
  /** Joins its mount namespace; else its root is mounted. */
  running: boolean;
  /** Only what lies in its root, under what is mounted there. */
  withoutMounts?: boolean;
  action: ArchiveAction;
  directory: string;
  /** Entry of the directory; empty: the directory itself. */
  name: string;
  /** Its name in the archive. */
  as: string;
  /** Owner of what is written; -1: as the archive says. */
  uid: number;
  gid: number;
}

/** Where a cgroup value goes; also what `update` writes. */
export interface CgroupWrite {
  controller: string;
  file: string;
  value: string;
}

export interface Plan {
  id: string;
  /** OCI runtime spec: config.json. */
  spec: Record<string, unknown>;
  /** Programs in the format of core-asm/abi.ts. */
  setup: Uint8Array;
  teardown: Uint8Array;
  cgroupWrites: CgroupWrite[];
  /** What was clamped or left out, sentences for the user. */
  warnings: string[];
}
