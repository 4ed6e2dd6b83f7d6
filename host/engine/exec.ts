// Further processes in running containers: created, then started once, as docker exec does.
import type { OutputSink, RunningProcess } from '../backend.ts';
import { planExec } from '../core/plans.ts';
import { GantryError } from '../errors.ts';
import { checkAble } from './abilities.ts';
import { type Container, hasEnded, notRunning, runningProcess } from './container.ts';
import type { Announce } from './container-events.ts';
import type { Context } from './context.ts';
import { withIdMaps } from './id-maps.ts';
import { newId } from './names.ts';
import { readAccounts, resolveUser } from './user.ts';

export interface ExecInput {
  args: string[];
  env: string[];
  workingDir: string;
  user: string;
  tty: boolean;
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  privileged: boolean;
  detachKeys: string;
}

export interface Exec {
  readonly id: string;
  readonly container: Container;
  readonly input: ExecInput;
  status: 'created' | 'running' | 'exited';
  pid: number;
  exitCode: number | undefined;
  process: RunningProcess | undefined;
  /** Rows and columns that its terminal got before it was there. */
  size: [number, number] | undefined;
}

export interface Execs {
  create(container: Container, input: ExecInput): Exec;
  /** @throws {GantryError} EXEC_NOT_FOUND. */
  find(id: string): Exec;
  /** Resolves when the program has been executed. */
  start(exec: Exec, sink: OutputSink | undefined): Promise<RunningProcess>;
  of(container: Container): Exec[];
}

/** Ended ones are remembered so long: clients ask for the exit code afterwards. */
const REMEMBERED_MS = 5 * 60_000;

/** @throws {GantryError} INVALID_STATE where it ran before, or nobody can enter its container. */
export function checkStart({ id, container, status }: Exec): RunningProcess {
  if (status !== 'created') throw new GantryError('INVALID_STATE', `Exec ${id.slice(0, 12)} has already run`);
  return checkOpen(container);
}

export function createExecs({ images, files }: Context, announce: Announce): Execs {
  const execs = new Map<string, Exec>();
  /** The program and a blank, then its arguments: docker's way. */
  const tell = ({ id, container, input }: Exec, action: string): void => {
    const [program = '', ...args] = input.args;
    announce(container, `${action}: ${program} ${args.join(' ')}`, { execID: id });
  };
  const forget = (exec: Exec): void => {
    setTimeout(() => execs.delete(exec.id), REMEMBERED_MS).unref();
  };
  return {
    create(container, input) {
      checkOpen(container);
      checkAble(container, 'exec');
      if (input.args.length === 0) throw new GantryError('INVALID_ARGUMENT', 'No exec command specified');
      const exec: Exec = {
        id: newId(),
        container,
        input,
        status: 'created',
        pid: 0,
        exitCode: undefined,
        process: undefined,
        size: undefined,
      };
      execs.set(exec.id, exec);
      tell(exec, 'exec_create');
      return exec;
    },
    find(id) {
      const exec = execs.get(id);
      if (exec === undefined) throw new GantryError('EXEC_NOT_FOUND', `No such exec instance: ${id}`);
      return exec;
    },
    async start(exec, sink) {
      const { container, input } = exec;
      const { record } = container;
      const first = checkStart(exec);
      exec.status = 'running';
      tell(exec, 'exec_start');
      let entered = (): void => {};
      const entering = new Promise<void>((resolve) => {
        entered = resolve;
      });
      container.entering.add(entering);
      try {
        const image = await images.find(record.config.imageId);
        const lower = images.layerPaths(image);
        await images.showLayers(lower);
        const accounts = readAccounts([files.of(record.id).upper, ...lower]);
        const user = resolveUser(input.user || record.config.user, record.config.groupAdd ?? [], accounts);
        const { args, env, workingDir, tty, privileged, attachStdin } = input;
        const planned = exec.size;
        const program = planExec({
          facts: await container.backend.facts(),
          id: record.id,
          container: withIdMaps(record),
          args,
          env,
          workingDir,
          user,
          tty,
          openStdin: attachStdin,
          privileged,
          ...(exec.size === undefined ? {} : { consoleSize: exec.size }),
        });
        const attachOutput = input.attachStdout || input.attachStderr;
        const running = await container.backend.exec(container.files.controlSocket, program, {
          attachOutput,
          attachStdin,
        });
        Object.assign(exec, { process: running, pid: running.pid });
        if (exec.size !== planned && exec.size !== undefined) running.resize(...exec.size);
        if (sink !== undefined) running.attach(sink);
        void running.exited.then(({ exitCode }) => {
          Object.assign(exec, { status: 'exited', exitCode, pid: 0, process: undefined });
          announce(container, 'exec_die', { execID: exec.id, exitCode: String(exitCode) });
          forget(exec);
        });
        return running;
      } catch (error) {
        exec.status = 'exited';
        exec.exitCode = error instanceof GantryError && error.exitStatus === 127 ? 127 : 126;
        forget(exec);
        const failed = error instanceof GantryError && error.code === 'PLAN_FAILED';
        throw failed && (await hasEnded(first)) ? notRunning(container) : error;
      } finally {
        container.entering.delete(entering);
        entered();
      }
    },
    of: (container) => [...execs.values()].filter((exec) => exec.container === container),
  };
}

/** @throws {GantryError} INVALID_STATE where nobody can enter it. */
function checkOpen(container: Container): RunningProcess {
  const running = runningProcess(container);
  const { record, pausing } = container;
  if (record.state.status === 'paused' || pausing)
    throw new GantryError('INVALID_STATE', `Container ${record.name} is paused, unpause the container before exec`);
  return running;
}
