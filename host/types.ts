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
  type: 'bind' | 'volume' | 'tmpfs' | 'image';
  /** Host path, volume name, image; empty for tmpfs. */
  source: string;
  target: string;
  readOnly?: boolean;
  /** "SOURCE:TARGET[:OPTIONS]" where it was given so. */
  spelled?: string;
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
  /** Bind: the ids on disk are those of the container's user namespace; of volumes they always are. */
  idmap?: boolean;
  /** Volume: a path in it, to be mounted in its place. */
  volumeSubpath?: string;
  volumeDriver?: string;
  /** For a volume that is made: options of its driver. */
  volumeOptions?: Record<string, string>;
  volumeLabels?: Record<string, string>;
  tmpfsSize?: Size;
  /** Octal, e.g. 0o1777. */
  tmpfsMode?: number;
  /** "exec", "noexec". */
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
  /** The last of a range from which the first free one is taken at start. */
  hostPortLast?: number;
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
  /** What health checks of the shell form are run with; absent: /bin/sh -c. */
  shell?: string[];
  host: HostConfig;
}

/** What a container asks of one network. */
export interface EndpointConfig {
  /** More names of the container, in this network. */
  aliases: string[];
  /** Others by names of its own there: "NAME:ALIAS". */
  links?: string[];
  ipv4Address?: string;
  ipv6Address?: string;
  macAddress?: string;
  /** Of the networks that lead out, the one with the highest has the default route; default 0. */
  gatewayPriority?: number;
}

/** What stands between a container and this host: a kernel's namespaces, a machine's virtual hardware, or a WASI runtime. */
export type Isolation = 'process' | 'vm' | 'wasm';

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
  /** On the default bridge: containers in its /etc/hosts, "ID:ALIAS"; "NAME:ALIAS" until the engine has found them. */
  links?: string[];
  /** Its networks, by name: the one of `networkMode` among them where that is one; filled by the engine. */
  networks?: Record<string, EndpointConfig>;
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
  /** Absent: the engine's own. */
  isolation?: Isolation;
  /** Rows and columns that a terminal has from its first moment. */
  consoleSize?: [number, number];
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
  /** Instructions for builds on top of it. */
  onBuild?: string[];
}

export interface ImageHistory {
  created?: string;
  createdBy?: string;
  comment?: string;
  author?: string;
  emptyLayer?: boolean;
}

export interface Image {
  /** ISO 8601: when it last got a name here. */
  taggedAt?: string;
  /** The manifest that brought it, where there was one. */
  manifest?: ImageManifest;
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
  /** The same for each layer, lowest first. */
  layerSizes: number[];
  /** Digests of the uncompressed layers, lowest first. */
  diffIds: string[];
  config: ImageConfig;
  history: ImageHistory[];
}

export interface ImageManifest {
  mediaType: string;
  digest: string;
  /** Bytes of the manifest itself. */
  size: number;
  /** Bytes of all that it leads to, as it came. */
  contentSize: number;
}

/** Who uses or mounts an image: short IDs of containers. */
export interface ImageUsers {
  running?: string | undefined;
  stopped?: string | undefined;
}

/** One line of pull or load progress; `id` is a layer's short digest. */
export interface Progress {
  id?: string;
  status: string;
  current?: number;
  total?: number;
}
