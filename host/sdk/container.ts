// One container: its life, its output, commands in it.
import type { IncomingMessage } from 'node:http';
import type { Api } from '../client/api.ts';
import { whole } from '../client/lines.ts';
import { GantryError } from '../errors.ts';
import { type Abortable, under } from './abort.ts';
import { type ContainerDetails, containerDetails } from './answers.ts';
import { Output, type Result, resultOf } from './output.ts';
import { portKey } from './ports.ts';
import { momentQuery } from './query.ts';
import { converse, type Input, openSession, type Session } from './session.ts';

/** Which part of a log is read. */
export interface LogOptions extends Abortable {
  /** Goes on until the container ends. */
  follow?: boolean;
  /** Lines from the end; default: all. */
  tail?: number;
  since?: Date;
  until?: Date;
  /** Each line begins with its time. */
  timestamps?: boolean;
  /** Default: both. */
  streams?: ('stdout' | 'stderr')[];
}

/** A command in a running container. */
export interface ExecOptions extends Abortable {
  env?: Record<string, string>;
  workdir?: string;
  user?: string;
  privileged?: boolean;
  /** With a terminal; its output is one stream. */
  tty?: boolean;
}

/** When {@link Container.wait} resolves. */
export interface WaitOptions extends Abortable {
  /** Default: `'not-running'`, at once where it does not run. */
  condition?: 'not-running' | 'next-exit' | 'removed';
}

/** How a container is removed. */
export interface RemoveOptions extends Abortable {
  /** Kills it where it runs. */
  force?: boolean;
  /** With its own volumes, which have no name. */
  volumes?: boolean;
}

/** A container. `await using` removes it, running or not, with its unnamed volumes. */
export class Container implements AsyncDisposable {
  /** The whole ID. */
  readonly id: string;
  /** What the engine had to say when it was made. */
  readonly warnings: readonly string[];
  readonly #api: Api;
  readonly #path: string;

  /** @internal */
  constructor(api: Api, id: string, warnings: readonly string[] = []) {
    this.#api = api;
    this.id = id;
    this.warnings = warnings;
    this.#path = `/containers/${id}`;
  }

  /** Starts it; resolves once its program runs. */
  async start({ signal }: Abortable = {}): Promise<void> {
    await this.#post('start', {}, signal);
  }

  /** Its stop signal, and SIGKILL after `timeout` seconds; resolves when it has ended. */
  async stop({ timeout, signal }: { timeout?: number } & Abortable = {}): Promise<void> {
    await this.#post('stop', { t: timeout }, signal);
  }

  /** Stops it where it runs, and starts it. */
  async restart({ timeout, signal }: { timeout?: number } & Abortable = {}): Promise<void> {
    await this.#post('restart', { t: timeout }, signal);
  }

  /** Sends a signal; default SIGKILL. */
  async kill(name: string = 'SIGKILL', { signal }: Abortable = {}): Promise<void> {
    await this.#post('kill', { signal: name }, signal);
  }

  /** Freezes all of its processes. */
  async pause({ signal }: Abortable = {}): Promise<void> {
    await this.#post('pause', {}, signal);
  }

  /** Thaws them. */
  async unpause({ signal }: Abortable = {}): Promise<void> {
    await this.#post('unpause', {}, signal);
  }

  /** Gives it another name. */
  async rename(name: string, { signal }: Abortable = {}): Promise<void> {
    await this.#post('rename', { name }, signal);
  }

  /** Removes it. @throws {GantryError} INVALID_STATE where it runs, without `force`. */
  async remove({ force, volumes, signal }: RemoveOptions = {}): Promise<void> {
    await under(signal, () => this.#api.send('DELETE', this.#path, { query: { force, v: volumes }, signal }));
  }

  /** The exit status, once the condition holds. */
  async wait({ condition, signal }: WaitOptions = {}): Promise<number> {
    return (await this.#watch(condition, signal)).exit;
  }

  /** How it is now. */
  async inspect({ signal }: Abortable = {}): Promise<ContainerDetails> {
    const get = () => this.#api.send<unknown>('GET', `${this.#path}/json`, { signal });
    return containerDetails(await under(signal, get));
  }

  /**
   * The port of the host that leads to one of the container's: `80`, `'53/udp'`.
   * @throws {GantryError} INVALID_STATE where it is not published.
   */
  async port(containerPort: number | string, options: Abortable = {}): Promise<number> {
    const { ports, name } = await this.inspect(options);
    const key = portKey(containerPort);
    const found = ports.find((port) => portKey(port.containerPort, port.protocol) === key);
    if (found !== undefined) return found.hostPort;
    throw new GantryError('INVALID_STATE', `Cannot tell the host port of ${key} of "${name}": it is not published`, {
      hint: 'Name it in "ports" when the container is made, and ask while it runs',
    });
  }

  /** What it has written, and with `follow` writes. Nothing is read before somebody iterates. */
  logs(options: LogOptions = {}): Output {
    const { follow, tail, since, until, timestamps, streams = ['stdout', 'stderr'], signal } = options;
    return new Output(async () => {
      const answer = await this.#api.open('GET', `${this.#path}/logs`, {
        query: {
          follow,
          tail,
          timestamps,
          since: momentQuery(since),
          until: momentQuery(until),
          stdout: streams.includes('stdout'),
          stderr: streams.includes('stderr'),
        },
        signal,
      });
      const raw = (answer.headers['content-type'] ?? '').includes('raw-stream');
      return { bytes: whole(answer as AsyncIterable<Uint8Array>), raw, close: () => answer.destroy() };
    }, signal);
  }

  /** Its output from now on, and its input where it has one (`openStdin`). */
  async attach({ signal }: Abortable = {}): Promise<Session> {
    const query = { stream: 1, stdin: 1, stdout: 1, stderr: 1 };
    return openSession(this.#api, `${this.#path}/attach`, { query, signal }, () => this.wait({ signal }));
  }

  /** Runs a command in it to its end. */
  async exec(cmd: string[], options: ExecOptions & { stdin?: Input } = {}): Promise<Result> {
    const { stdin, ...others } = options;
    const session = await this.#session(cmd, others, stdin !== undefined);
    const collected = await converse(session, stdin);
    return resultOf(await session.wait(), collected);
  }

  /** Starts a command in it, to be spoken to. */
  async spawn(cmd: string[], options: ExecOptions = {}): Promise<Session> {
    return this.#session(cmd, options, true);
  }

  /** Removes it, as `remove({ force: true, volumes: true })`; that it has gone already is no failure. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove({ force: true, volumes: true }).catch((error: unknown) => {
      if (!(error instanceof GantryError) || error.code !== 'CONTAINER_NOT_FOUND') throw error;
    });
  }

  /** Starts it with its streams connected from the first byte, to its end. @internal */
  async runToEnd(stdin: Input | undefined, signal: AbortSignal | undefined): Promise<Result> {
    const gone = new AbortController();
    const { exit } = await this.#watch('next-exit', signal ? AbortSignal.any([signal, gone.signal]) : gone.signal);
    exit.catch(() => {});
    try {
      const query = { stream: 1, stdin: stdin !== undefined, stdout: 1, stderr: 1 };
      const session = await openSession(this.#api, `${this.#path}/attach`, { query, signal }, () => exit);
      try {
        await this.start({ signal });
        const collected = await converse(session, stdin);
        return resultOf(await exit, collected);
      } finally {
        await session[Symbol.asyncDispose]();
      }
    } finally {
      gone.abort();
    }
  }

  async #session(cmd: string[], options: ExecOptions, stdin: boolean): Promise<Session> {
    const { env = {}, workdir = '', user = '', privileged = false, tty = false, signal } = options;
    const body = {
      Cmd: cmd,
      AttachStdin: stdin,
      AttachStdout: true,
      AttachStderr: true,
      Tty: tty,
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      User: user,
      WorkingDir: workdir,
      Privileged: privileged,
    };
    const { Id } = await under(signal, () =>
      this.#api.send<{ Id: string }>('POST', `${this.#path}/exec`, { body, signal }),
    );
    return openSession(this.#api, `/exec/${Id}/start`, { body: { Detach: false, Tty: tty }, signal }, async () => {
      const get = () => this.#api.send<{ ExitCode: number | null }>('GET', `/exec/${Id}/json`);
      const { ExitCode } = await under(signal, get);
      return ExitCode ?? 0;
    });
  }

  /** Resolves once the engine watches; `exit` is told when the condition holds. */
  async #watch(
    condition: WaitOptions['condition'],
    signal: AbortSignal | undefined,
  ): Promise<{ exit: Promise<number> }> {
    const answer = await under(signal, () =>
      this.#api.open('POST', `${this.#path}/wait`, { query: { condition }, signal }),
    );
    return { exit: under(signal, () => readExit(answer)) };
  }

  async #post(
    verb: string,
    query: Record<string, string | number | undefined>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await under(signal, () => this.#api.send('POST', `${this.#path}/${verb}`, { query, signal }));
  }
}

async function readExit(answer: IncomingMessage): Promise<number> {
  let text = '';
  for await (const chunk of whole(answer)) text += chunk;
  const { StatusCode, Error: failure } = JSON.parse(text) as {
    StatusCode: number;
    Error?: { Message: string } | null;
  };
  if (failure?.Message) throw new GantryError('INTERNAL', `Cannot wait for the container: ${failure.Message}`);
  return StatusCode;
}
