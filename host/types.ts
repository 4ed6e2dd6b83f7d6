// Domain types in OCI and Docker words, lower camel case. Types only; units stand in the names or beside them.

// --- Containers --------------------------------------------------------------------------------------------------

/** "private", "host", "container:ID" (the engine resolves the ID to a pid before planning), for each namespace. */
export type NamespaceMode = string;

/** A size in bytes: a number, or text with a suffix (b, k, m, g, t, p; case-insensitive, 1024-based) as docker takes it. */
export type Size = number | string;

export interface Ulimit {
  name: string;
  soft: number;
  hard: number;
}

export interface DeviceMapping {
  pathOnHost: string;
  pathInContainer: string;
  /** Some of "rwm". */
  cgroupPermissions: string;
}

export interface DeviceRate {
  path: string;
  /** Bytes or operations per second. */
  rate: Size;
}

export interface Mount {
  type: 'bind' | 'volume' | 'tmpfs';
  /** Host path, volume name; empty for tmpfs. */
  source: string;
  target: string;
  readOnly?: boolean;
  /** Bind: private, rprivate, shared, rshared, slave, rslave. Default rprivate. */
  propagation?: string;
  /** Bind: do not bind recursively. */
  nonRecursive?: boolean;
  /** Bind: "enabled" (default; recursive where the kernel can), "disabled" (top only), "force". */
  readOnlyRecursive?: 'enabled' | 'disabled' | 'force';
  /** Bind: make the missing host directory (what -v does and --mount does not). */
  createSource?: boolean;
  /** Volume: do not copy what the image has there into a new volume. */
  noCopy?: boolean;
  volumeSubpath?: string;
  volumeDriver?: string;
  volumeLabels?: Record<string, string>;
  tmpfsSize?: Size;
  /** Octal, e.g. 0o1777. */
  tmpfsMode?: number;
  tmpfsOptions?: string;
}

export interface PortBinding {
  /** 1–65535. */
  containerPort: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** Empty: all addresses. */
  hostIp: string;
  /** 0: a free one is chosen at start. */
  hostPort: number;
}

export interface RestartPolicy {
  name: 'no' | 'always' | 'on-failure' | 'unless-stopped';
  maximumRetryCount: number;
}

export interface Healthcheck {
  /** ["NONE"], ["CMD", …], ["CMD-SHELL", command] or [] (inherit). */
  test: string[];
  /** Nanoseconds, 0: inherit or default. */
  interval: number;
  timeout: number;
  startPeriod: number;
  startInterval: number;
  retries: number;
}

export interface LogConfig {
  type: string;
  config: Record<string, string>;
}

/** Resources in docker's terms; 0, empty or absent: not limited. Checked and translated by the core only. */
export interface Resources {
  cpuShares?: number;
  /** 1e-9 CPUs; excludes cpuQuota and cpuPeriod. */
  nanoCpus?: number;
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuRealtimePeriod?: number;
  cpuRealtimeRuntime?: number;
  /** List format, "0-2,7". */
  cpusetCpus?: string;
  cpusetMems?: string;
  memory?: Size;
  memoryReservation?: Size;
  /** Memory plus swap; -1: unlimited swap. */
  memorySwap?: Size;
  /** 0–100, -1 or absent: inherit. */
  memorySwappiness?: number;
  oomKillDisable?: boolean;
  /** Absent: inherit; 0 or -1: unlimited. */
  pidsLimit?: number;
  /** 10–1000, 0: none. */
  blkioWeight?: number;
  blkioWeightDevice?: { path: string; weight: number }[];
  blkioDeviceReadBps?: DeviceRate[];
  blkioDeviceWriteBps?: DeviceRate[];
  blkioDeviceReadIOps?: DeviceRate[];
  blkioDeviceWriteIOps?: DeviceRate[];
  /** Raw rules, "c 42:* rmw". */
  deviceCgroupRules?: string[];
  hugetlb?: { pageSize: string; limit: Size }[];
  netClsClassId?: number;
  /** cgroup v2 files written as they are: --cgroup-conf. */
  unified?: Record<string, string>;
}

/** What a container is made of once image config and request are merged. Stored in its record. */
export interface ContainerConfig {
  /** As the user wrote it. */
  image: string;
  /** Digest of the image's config, "sha256:…". */
  imageId: string;
  /** Program and arguments: entrypoint then command. */
  entrypoint: string[];
  command: string[];
  /** "NAME=value". */
  env: string[];
  workingDir: string;
  /** "", "name", "uid", "name:group", "uid:gid". */
  user: string;
  /** --group-add. */
  groupAdd?: string[];
  hostname: string;
  domainname: string;
  tty: boolean;
  openStdin: boolean;
  stdinOnce: boolean;
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  labels: Record<string, string>;
  annotations?: Record<string, string>;
  /** "80/tcp". */
  exposedPorts: string[];
  /** Anonymous volumes of the image: paths. */
  volumes: string[];
  stopSignal: string;
  /** Seconds; absent: 10. */
  stopTimeout?: number;
  healthcheck?: Healthcheck;
  host: HostConfig;
}

/** Docker's HostConfig. */
export interface HostConfig {
  autoRemove: boolean;
  resources: Resources;
  mounts: Mount[];
  volumesFrom: string[];
  /** "bridge" or "default", "host", "none", "container:ID", or a network's name. */
  networkMode: string;
  ports: PortBinding[];
  publishAllPorts: boolean;
  dns: string[];
  dnsSearch: string[];
  dnsOptions: string[];
  /** "host:ip". */
  extraHosts: string[];
  networkAliases?: string[];
  macAddress?: string;
  ipv4Address?: string;
  ipv6Address?: string;
  restartPolicy: RestartPolicy;
  capAdd: string[];
  capDrop: string[];
  privileged: boolean;
  readonlyRootfs: boolean;
  /** "seccomp=…", "apparmor=…", "label=…", "no-new-privileges[:true]", "systempaths=unconfined". */
  securityOpt: string[];
  /** Path → mount options. */
  tmpfs: Record<string, string>;
  shmSize?: Size;
  init: boolean;
  ulimits: Ulimit[];
  devices: DeviceMapping[];
  sysctls: Record<string, string>;
  pidMode: NamespaceMode;
  ipcMode: NamespaceMode;
  utsMode: NamespaceMode;
  userMode: NamespaceMode;
  cgroupMode: NamespaceMode;
  timeMode?: NamespaceMode;
  /** "monotonic=SECONDS,boottime=SECONDS". */
  timeOffset?: string;
  /** "CONTAINER:HOST:SIZE" triples: a user namespace of its own. */
  uidMaps?: string[];
  gidMaps?: string[];
  cgroupParent: string;
  oomScoreAdj: number;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  logConfig: LogConfig;
  isolation?: 'process' | 'vm' | 'wasm';
  runtime?: string;
}

// --- Images ------------------------------------------------------------------------------------------------------

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

/** The `config` part of an OCI image configuration. */
export interface ImageConfig {
  user: string;
  exposedPorts: string[];
  env: string[];
  entrypoint: string[];
  command: string[];
  volumes: string[];
  workingDir: string;
  labels: Record<string, string>;
  stopSignal: string;
  healthcheck?: Healthcheck;
  shell?: string[];
}

export interface ImageHistory {
  created?: string;
  createdBy?: string;
  comment?: string;
  author?: string;
  emptyLayer?: boolean;
}

export interface Image {
  /** Digest of the configuration, "sha256:…". */
  id: string;
  /** "name:tag", fully written out in short form: "busybox:latest". */
  tags: string[];
  /** "name@sha256:…". */
  digests: string[];
  platform: Platform;
  /** ISO 8601. */
  created: string;
  author?: string;
  /** Bytes of the unpacked layers. */
  size: number;
  /** Digests of the uncompressed layers, lowest first. */
  diffIds: string[];
  config: ImageConfig;
  history: ImageHistory[];
}

/** One line of pull or load progress; `id` is a layer's short digest. */
export interface Progress {
  id?: string;
  status: string;
  current?: number;
  total?: number;
}

// --- Plans -------------------------------------------------------------------------------------------------------

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
}

/** One interface of the container; everything already allocated. */
export interface PlanInterface {
  /** Host bridge's name. */
  bridge: string;
  /** Host side of the veth, at most 15 characters. */
  hostName: string;
  /** In the container: eth0, eth1. */
  name: string;
  mac: string;
  /** "172.17.0.2/16". */
  addresses: string[];
  /** Default routes; at most one per family over all interfaces. */
  gateways: string[];
}

export interface PlanNetwork {
  mode: 'none' | 'private' | 'host' | 'join';
  /** For join: pid whose network namespace is entered. */
  pid?: number;
  interfaces: PlanInterface[];
  /** net.* defaults: ip_unprivileged_port_start=0, ping_group_range as docker. */
  sysctls: Record<string, string>;
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
