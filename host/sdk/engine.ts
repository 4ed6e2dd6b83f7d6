// The engine as programs see it, wherever it is. Read this file first.
import type { Api } from '../client/api.ts';
import { jsonLines } from '../client/lines.ts';
import { GantryError } from '../errors.ts';
import type { CgroupWrite } from '../plan-types.ts';
import { type Abortable, under } from './abort.ts';
import { type ContainerSummary, containerDetails, containerSummary, type EngineEvent, engineEvent } from './answers.ts';
import { Container } from './container.ts';
import type { ContainerOptions, CreateOptions, PullPolicy } from './container-options.ts';
import { createBody } from './create-body.ts';
import { Images } from './images.ts';
import { Networks } from './networks.ts';
import type { Result } from './output.ts';
import { type Filters, filtersQuery, momentQuery, name } from './query.ts';
import { type Readiness, whenReady } from './readiness.ts';
import type { Input } from './session.ts';
import { Volumes } from './volumes.ts';

/** Options of {@link Engine.run}. */
export interface RunOptions extends Omit<ContainerOptions, 'rm' | 'restart'>, PullPolicy, Abortable {
  /** What the program reads as its standard input. */
  stdin?: Input;
}

/** Options of {@link Engine.start}. */
export interface StartOptions extends CreateOptions {
  /** What it is waited for, all of it: see {@link untilPort}, {@link untilLog}, {@link untilHealthy}, {@link untilHttp}. */
  ready?: Readiness | Readiness[];
  /** How long; default a minute. */
  readyTimeoutMs?: number;
}

const READY_MS = 60_000;

/** Every system call of a container, before anything runs. */
export interface Plan {
  /** One call a line, as `gantry plan` prints it. */
  text: string;
  /** sha256 of the plan: equal plans have equal digests. */
  digest: string;
  /** The OCI runtime spec, config.json. */
  spec: Record<string, unknown>;
  /** What is written to the files of its cgroups. */
  cgroupWrites: CgroupWrite[];
  /** What was clamped or left out, sentences for people. */
  warnings: string[];
}

/** Which events are told. */
export interface EventOptions extends Abortable {
  /** Docker's filters: `{ type: 'container', event: ['start', 'die'] }`. */
  filters?: Filters;
  /** From this moment on, as far as the engine remembers; default: from the first iteration. */
  since?: Date;
  /** Ends there; default: never. */
  until?: Date;
}

/** What an engine says of itself. */
export interface EngineVersion {
  version: string;
  apiVersion: string;
  os: string;
  architecture: string;
  kernel: string;
}

/** An engine. `await using` closes it: one that was opened in this process ends, others are left. Containers run on. */
export class Engine implements AsyncDisposable {
  readonly images: Images;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly #api: Api;
  readonly #close: () => Promise<void>;
  #closed: Promise<void> | undefined;

  /** @internal */
  constructor(api: Api, close: () => Promise<void>) {
    this.#api = api;
    this.#close = close;
    this.images = new Images(api);
    this.networks = new Networks(api);
    this.volumes = new Volumes(api);
  }

  /** Runs a container to its end and removes it, aborted or not. A program that fails does not throw: see `exitCode`. */
  async run(options: RunOptions): Promise<Result> {
    const { stdin, ...others } = options;
    const container = await this.create({ ...others, openStdin: stdin !== undefined });
    try {
      return await container.runToEnd(stdin, options.signal);
    } finally {
      await container[Symbol.asyncDispose]();
    }
  }

  /**
   * Creates a container, starts it, and waits until it is `ready`; one that cannot start, or ends before, is removed.
   * @throws {GantryError} TIMED_OUT, INVALID_STATE with its last lines as the hint.
   */
  async start(options: StartOptions): Promise<Container> {
    const { ready, readyTimeoutMs = READY_MS, ...others } = options;
    const container = await this.create(others);
    try {
      // Not to be aborted half way: it would go on in the engine while it is removed here.
      await container.start();
      if (ready !== undefined) await whenReady(container, [ready].flat(), readyTimeoutMs, options.signal);
      options.signal?.throwIfAborted();
      return container;
    } catch (error) {
      await container[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Creates a container; its image is pulled where it is missing. */
  async create(options: CreateOptions): Promise<Container> {
    const { pull = 'missing', platform, signal } = options;
    const body = createBody(options);
    await under(signal, async () => {
      if (pull === 'always') await this.images.pull(options.image, { signal, ...(platform ? { platform } : {}) });
    });
    const query = { name: options.name, platform };
    // Without the signal: who aborts in the middle would not know what was made.
    const create = () =>
      this.#api.send<{ Id: string; Warnings: string[] | null }>('POST', '/containers/create', { query, body });
    const { Id, Warnings } = await this.#withImage(options, create);
    const container = new Container(this.#api, Id, Warnings ?? []);
    if (signal?.aborted) await container[Symbol.asyncDispose]();
    signal?.throwIfAborted();
    return container;
  }

  /** A container that is there, by name or ID. @throws {GantryError} CONTAINER_NOT_FOUND. */
  async container(nameOrId: string, { signal }: Abortable = {}): Promise<Container> {
    const path = `/containers/${name(nameOrId)}/json`;
    const found = await under(signal, () => this.#api.send<unknown>('GET', path, { signal }));
    return new Container(this.#api, containerDetails(found).id);
  }

  /** Containers that run, or all; docker's filters choose among them. */
  async containers(options: { all?: boolean; filters?: Filters } & Abortable = {}): Promise<ContainerSummary[]> {
    const { all, filters, signal } = options;
    const query = { all, filters: filtersQuery(filters) };
    const get = () => this.#api.send<unknown[]>('GET', '/containers/json', { query, signal });
    return (await under(signal, get)).map(containerSummary);
  }

  /** Every system call that a container would make; nothing is run. */
  async plan(options: ContainerOptions & PullPolicy & Abortable): Promise<Plan> {
    const { signal } = options;
    const body = createBody(options);
    return this.#withImage(options, () =>
      under(signal, () => this.#api.send<Plan>('POST', '/gantry/plan', { body, signal })),
    );
  }

  /** What happens from the first iteration on. Leaving the loop ends it. */
  async *events({ filters, since, until, signal }: EventOptions = {}): AsyncGenerator<EngineEvent, void, undefined> {
    const query = { filters: filtersQuery(filters), since: momentQuery(since), until: momentQuery(until) };
    const answer = await under(signal, () => this.#api.open('GET', '/events', { query, signal }));
    try {
      for await (const event of jsonLines<unknown>(answer)) yield engineEvent(event);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      answer.destroy();
    }
  }

  /** Which engine this is. */
  async version({ signal }: Abortable = {}): Promise<EngineVersion> {
    const get = () => this.#api.send<Record<string, string>>('GET', '/version', { signal });
    const { Version = '', ApiVersion = '', Os = '', Arch = '', KernelVersion = '' } = await under(signal, get);
    return { version: Version, apiVersion: ApiVersion, os: Os, architecture: Arch, kernel: KernelVersion };
  }

  /** Lets go of it: an engine that was opened in this process ends, and its containers run on. */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Once more after a pull, where an image is missing and may be pulled. */
  async #withImage<T>(options: { image: string } & PullPolicy & Abortable, work: () => Promise<T>): Promise<T> {
    const { image, pull = 'missing', platform, signal } = options;
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof GantryError) || error.code !== 'IMAGE_NOT_FOUND' || pull === 'never') throw error;
    }
    await this.images.pull(image, { signal, ...(platform ? { platform } : {}) });
    return work();
  }
}
