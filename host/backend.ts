// The one interface between the engine and whatever runs containers. Types only.
import type { Duplex } from 'node:stream';
import type { HostFacts, Plan, PlanRequest } from './plan-types.ts';

/** How the backend differs from its siblings, as data. */
export interface BackendCapabilities {
  name: 'linux' | 'vm' | 'wasi';
  pause: boolean;
  exec: boolean;
  networks: boolean;
  bindMounts: boolean;
  update: boolean;
  /** `archive`: files of its containers are read and written by programs of the planning core. */
  copies: boolean;
  /** `processes` and `processTable`. */
  processes: boolean;
  /** Networks' bridges and firewalls, and limits of cgroups, are those of a Linux kernel that planned programs drive. */
  kernel: boolean;
  /** Containers are on this host's own file system: what a supervisor writes (logs, records) is read here. */
  sameFiles: boolean;
  /** Networks are this host's, and go on without the engine. */
  outlivesEngine: boolean;
}

/** What a plan names of this host's files, for a backend whose containers run beside another disk. */
export interface PlanFiles {
  /** Read-only trees whose content never changes: layers. */
  trees: string[];
  /** Made empty where they are missing; what containers change in them stays there. */
  directories: { path: string; mode: number }[];
  /** Small files, as they are now; those that are missing here are left out. */
  files: string[];
  /** Directories and files that stay this host's, and are seen where `sourceOf` says. */
  shares: { source: string; readOnly: boolean }[];
}

/** A container's log, where the supervisor cannot write it. */
export interface LogTarget {
  path: string;
  /** Bytes after which it is rotated; absent: never. */
  maxSize?: number;
  /** Files that are kept of it. */
  maxFiles?: number;
  /** What is rotated is compressed. */
  compress?: boolean;
  /** Bytes that wait for it in memory, what is more is dropped; absent: the container waits. */
  buffer?: number;
}

/** One thing that a machine has or lacks. */
export interface Check {
  name: string;
  state: 'ok' | 'warning' | 'failed';
  detail: string;
  hint?: string;
}

export interface StartOptions {
  /** Forward output to `onOutput` from the first byte. */
  attachOutput: boolean;
  attachStdin: boolean;
  /** While nobody takes its output it waits, with its end: nothing else writes them down. */
  keepOutput?: boolean;
}

export interface Exit {
  /** 0–255; 128+n for a signal. */
  exitCode: number;
  oomKilled: boolean;
  /** Nanoseconds since the epoch. */
  finishedAt: bigint;
  /** In records: nanoseconds since the epoch. */
  startedAt?: bigint;
  /** The supervisor died without telling: no record says how the process ended, the code is 137. */
  lost?: true;
  /** Why it ended, where that was not its own doing: a sentence for the user. */
  error?: string;
}

/** A container's first process, or a process in one. Every method may be called at any time; after the exit they do nothing. */
export interface RunningProcess {
  readonly pid: number;
  /** Nanoseconds since the epoch. */
  readonly startedAt: bigint;
  /** What was left out or clamped while it was set up, sentences for the user. */
  readonly warnings?: readonly string[];
  /** Resolves when the exit is known, before tear-down; never rejects. */
  readonly exited: Promise<Exit>;
  /** Resolves when tear-down is over too. */
  readonly tornDown: Promise<void>;
  /**
   * Output as it comes, for those who attach; returns the way to stop. With `attachOutput` the output before the first
   * sink is kept for it; later sinks get what comes from then on.
   */
  attach(sink: OutputSink): () => void;
  /** Writes to stdin; resolves when it is sent. */
  write(data: Uint8Array): Promise<void>;
  closeStdin(): void;
  resize(rows: number, columns: number): void;
  signal(signal: number): void;
  /** Let go without ending it; the supervisor goes on. */
  detach(): void;
}

export interface OutputSink {
  /** A sink that is full returns a promise: no more output is read, for any sink, until it is settled. */
  output(stream: 'stdout' | 'stderr', data: Uint8Array): void | Promise<void>;
  /** No more output will come; called once, unless the sink left before. */
  end(): void;
}

/** What is needed to tell how a container ended whose supervisor is gone. */
export interface Recovery {
  /** Path of the exit record. */
  exitRecord?: string;
  /** Program that removes what is left. */
  teardown?: Uint8Array;
  /** What it has of this host's files. */
  shares?: PlanFiles['shares'];
}

export interface BlockCounter {
  major: number;
  minor: number;
  /** "read", "write", "sync", "async", "discard", "total". */
  operation: string;
  value: number;
}

export interface NetworkCounters {
  rxBytes: number;
  rxPackets: number;
  rxErrors: number;
  rxDropped: number;
  txBytes: number;
  txPackets: number;
  txErrors: number;
  txDropped: number;
}

/** What ps(1) prints of a container's processes. */
export interface ProcessTable {
  titles: string[];
  rows: string[][];
}

/** Raw counters of a running container; times in nanoseconds, sizes in bytes. */
export interface ContainerStats {
  /** cgroup v2, which counts other things. */
  unified: boolean;
  /** Nanoseconds since the epoch. */
  readAt: bigint;
  cpu: {
    totalNs: number;
    userNs: number;
    kernelNs: number;
    /** By CPU; empty where the kernel does not count so (v2). */
    perCpuNs: number[];
    periods: number;
    throttledPeriods: number;
    throttledNs: number;
    /** CPU time of the whole machine, idle time included. */
    machineNs: number;
    onlineCpus: number;
  };
  memory: {
    usageBytes: number;
    /** v1. */
    maxUsageBytes?: number;
    /** The smaller of the limit and the machine's memory. */
    limitBytes: number;
    /** v1: times that the limit was hit; v2: that nothing could be freed then. */
    failures: number;
    /** memory.stat as the kernel writes it. */
    counters: Record<string, number>;
  };
  pids: {
    current: number;
    /** Absent: no limit. */
    limit?: number;
  };
  block: {
    serviceBytes: BlockCounter[];
    serviced: BlockCounter[];
  };
  /** By interface, without the loopback. */
  networks: Record<string, NetworkCounters>;
}

/** One process of a container as the host sees it. */
export interface ProcessEntry {
  pid: number;
  parentPid: number;
  /** Real user, in the host's numbers. */
  uid: number;
  threads: number;
  /** Milliseconds since the epoch. */
  startedAtMs: number;
  cpuMs: number;
  residentBytes: number;
  /** One letter of proc_pid_stat(5). */
  state: string;
  /** "pts/0", "?" where it has none. */
  terminal: string;
  /** Arguments joined by spaces; "[name]" where it has none. */
  command: string;
}

/** A virtual machine in which containers run. */
export interface MachineInfo {
  state: 'running' | 'stopped';
  /** Of what runs; absent where nothing does. */
  running?: {
    pid: number;
    accelerator: string;
    memoryMb: number;
    cpus: number;
    /** From a snapshot; else it was booted. */
    resumed: boolean;
    /** ISO 8601. */
    startedAt: string;
    /** What QEMU holds of this host's memory; absent where the host does not tell. */
    residentBytes?: number;
  };
  /** Bytes on this host's disk. */
  diskBytes: number;
  snapshotBytes: number;
  directory: string;
}

export interface MachineControl {
  info(): Promise<MachineInfo>;
  start(): Promise<void>;
  /** Switches it off; what runs in it ends with it. */
  stop(): Promise<void>;
  /** Stops it and removes its disk, its snapshot, and what was found out about accelerators. */
  reset(): Promise<void>;
}

export interface ResolverLink {
  /** Resolves when the resolver is gone, or `close` was called. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Where this host is for containers on a machine that is not it. */
export interface HostPlace {
  /** Answers names as this host has them answered. */
  nameServer: string;
  /** Stands for this host and its services; undefined where those are not to be reached. */
  gateway: string | undefined;
}

export interface Backend {
  /** Absent: containers are on this host, and its address is their network's gateway. */
  readonly hostPlace?: HostPlace;
  readonly capabilities: BackendCapabilities;
  /** Where containers run in a virtual machine that is one for all. */
  readonly machine?: MachineControl;
  /** Path, for the plan, of the program that serves as /sbin/docker-init. */
  readonly initProgram: string;
  /** Facts for planning; cached. `devices` names host device nodes to look up. */
  facts(devices?: string[]): Promise<HostFacts>;
  /** Its own form of a plan, where it is not the planning core's. @throws {GantryError} for what it cannot carry out. */
  plan?(request: PlanRequest): Plan;
  /** Makes ready ahead of the first start what can be: the executor, a pool of slots. Never rejects. */
  prepare(): Promise<void>;
  /**
   * A prepared place (cgroups, launcher) below this parent for the next start, or undefined; must be passed to the plan as
   * pooledSlot and to `start` as slot, or be given back.
   */
  reserveSlot(cgroupParent?: string): string | undefined;
  /** Gives a slot back that no start will use: a plan that was refused. */
  releaseSlot(slot: string): void;
  /** Where a plan finds a share: this host's own path, or another one where containers run beside another disk. */
  sourceOf(share: PlanFiles['shares'][number]): string;
  /**
   * Brings what plans will name to where containers run: before `start`, and before `archive` beside a container that does not run.
   * What it resolves to is called once nobody needs the shares any more.
   */
  place(files: PlanFiles): Promise<() => void>;
  /** Carries the set-up out; rejects with PLAN_FAILED after unwinding. `log`: without `sameFiles`. */
  start(
    plan: Plan,
    options: StartOptions & { slot?: string | undefined; recovery?: Recovery; log?: LogTarget | undefined },
  ): Promise<RunningProcess>;
  /** Finds a container that an earlier engine started, by its control socket; undefined when its supervisor is gone. */
  adopt(id: string, controlSocket: string, recovery?: Recovery, log?: LogTarget): Promise<RunningProcess | undefined>;
  /** Whether what an earlier engine started may run still. Absent: it may. */
  outlived?(): Promise<boolean>;
  /** How a container ended whose supervisor is gone; undefined where nothing was recorded. */
  recordedExit(exitRecord: string): Promise<Exit | undefined>;
  /** Starts a process in the running container behind this control socket. */
  exec(controlSocket: string, program: Uint8Array, options: StartOptions): Promise<RunningProcess>;
  /** Starts a program that reads or writes files: behind the container's control socket, or without one beside a container that does not run. */
  archive(controlSocket: string | undefined, program: Uint8Array): Promise<RunningProcess>;
  /** Carries out a program without a process in it beside the running container behind this control socket. */
  wire(controlSocket: string, program: Uint8Array): Promise<void>;
  /**
   * Answers the questions for names that come from the resolver behind this socket, as long as its container runs.
   * `answer` gets a DNS message and whether it came by TCP; an empty answer is none. Rejects where nobody listens.
   */
  resolve(socket: string, answer: (question: Uint8Array, tcp: boolean) => Promise<Uint8Array>): Promise<ResolverLink>;
  /** Connects to a container's address, both halves of which end by themselves. Rejects with an error that has the system's `code`. */
  dial(address: string, port: number): Promise<Duplex>;
  /** Datagrams to and from a container's address by UDP; what cannot be sent is lost. */
  exchange(
    address: string,
    port: number,
    received: (data: Uint8Array) => void,
  ): { send(data: Uint8Array): void; close(): void };
  /** Carries out a program without a process in it: network, tear-down after a crash, pause. */
  run(program: Uint8Array): Promise<void>;
  /** Directories that were just made: what will be made below them has nothing to do with each other. */
  spread(directories: string[]): Promise<void>;
  /** Removes trees with all that is in them; one that cannot be removed does not keep the others. */
  removeTrees(paths: string[]): Promise<void>;
  /** Makes directories of containers that are gone as new. Resolves to those that are; of the others anything may be left. */
  renewDirectories(paths: string[]): Promise<string[]>;
  /** Index of a network interface of the machine that runs the containers; undefined where none is up. */
  interfaceIndex(name: string): Promise<number | undefined>;
  /** Counters of a running container, whose first process is `pid` on this host. */
  stats(id: string, cgroupParent: string, pid: number): Promise<ContainerStats>;
  /** Its processes, oldest first. */
  processes(id: string, cgroupParent: string): Promise<ProcessEntry[]>;
  /** The same as ps(1) prints it with these options. */
  processTable(id: string, cgroupParent: string, options: string[]): Promise<ProcessTable>;
  /** Whether its processes are frozen, or about to be; false where it does not run. */
  isPaused(id: string, cgroupParent: string): Promise<boolean>;
  pause(id: string, cgroupParent: string): Promise<void>;
  unpause(id: string, cgroupParent: string): Promise<void>;
  /** Sends a signal to every process of the container; SIGKILL reaches paused ones too. */
  killAll(id: string, cgroupParent: string, signal: number): Promise<void>;
  /** What there is to say about this backend besides the facts. */
  checks(): Promise<Check[]>;
  /** `watcher` is called soon after something was mounted or unmounted there, whoever did it, and once more for whatever was not seen. */
  watchMounts(watcher: () => void): void;
  /** Lets containers run on and releases this process's hold on the executor. */
  close(): Promise<void>;
}
