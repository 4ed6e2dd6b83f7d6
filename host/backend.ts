// The one interface between the engine and whatever runs containers. Types only.
import type { CgroupWrite, HostFacts, Plan } from './plan-types.ts';

/** How the backend differs from its siblings, as data. */
export interface BackendCapabilities {
  name: 'linux' | 'vm' | 'wasi';
  pause: boolean;
  exec: boolean;
  networks: boolean;
  bindMounts: boolean;
  update: boolean;
}

export interface StartOptions {
  /** Forward output to `onOutput` from the first byte. */
  attachOutput: boolean;
  attachStdin: boolean;
}

export interface Exit {
  /** 0–255; 128+n for a signal. */
  exitCode: number;
  oomKilled: boolean;
  /** Nanoseconds since the epoch. */
  finishedAt: bigint;
}

/** A container's first process, or a process in one. Every method may be called at any time; after the exit they do nothing. */
export interface RunningProcess {
  readonly pid: number;
  /** Nanoseconds since the epoch. */
  readonly startedAt: bigint;
  /** Resolves when the exit is known, before tear-down; never rejects. */
  readonly exited: Promise<Exit>;
  /** Resolves when tear-down is over too. */
  readonly tornDown: Promise<void>;
  /** Output as it comes, for those who attach; returns the way to stop. Backpressure: `false` pauses until the promise from `drain` resolves. */
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
  output(stream: 'stdout' | 'stderr', data: Uint8Array): void;
  end(): void;
}

export interface ExecProgram {
  program: Uint8Array;
}

export interface Backend {
  readonly capabilities: BackendCapabilities;
  /** Facts for planning; cached. `devices` names host device nodes to look up. */
  facts(devices?: string[]): Promise<HostFacts>;
  /** A prepared place (cgroups, launcher) for the next start, or undefined; must be passed to the plan as pooledSlot. */
  reserveSlot(): string | undefined;
  /** Carries the set-up out; rejects with PLAN_FAILED after unwinding. */
  start(plan: Plan, options: StartOptions & { slot?: string | undefined }): Promise<RunningProcess>;
  /** Finds a container that an earlier engine started, by its control socket; undefined when its supervisor is gone. */
  adopt(id: string, controlSocket: string): Promise<RunningProcess | undefined>;
  /** Starts a process in the running container behind this control socket. */
  exec(controlSocket: string, program: Uint8Array, options: StartOptions): Promise<RunningProcess>;
  /** Carries out a program without a process in it: network, tear-down after a crash, pause. */
  run(program: Uint8Array): Promise<void>;
  /** Live limits of a running container. */
  update(id: string, cgroupParent: string, writes: CgroupWrite[]): Promise<void>;
  /** Lets containers run on and releases this process's hold on the executor. */
  close(): Promise<void>;
}
