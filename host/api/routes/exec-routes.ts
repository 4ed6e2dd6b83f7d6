// /exec: further processes in running containers.
import type { RunningProcess } from '../../backend.ts';
import { createDetachFilter, parseDetachKeys } from '../../detach-keys.ts';
import type { Engine } from '../../engine/engine.ts';
import { checkStart } from '../../engine/exec.ts';
import { size } from './container-routes.ts';
import { readConsoleSize } from '../fields/console-size.ts';
import { readFields } from '../fields/fields.ts';
import { type Call, type Route, readJson, sendJson, sendNothing } from '../http.ts';
import { hijack } from '../stream.ts';

export function execRoutes(engine: Engine): Route[] {
  const create = async (call: Call): Promise<void> => {
    const container = engine.find(call.params.id!);
    const fields = readFields(await readJson(call), '');
    const exec = engine.execs.create(container, {
      args: fields.texts('Cmd') ?? [],
      env: fields.texts('Env') ?? [],
      workingDir: fields.text('WorkingDir'),
      user: fields.text('User'),
      tty: fields.flag('Tty'),
      attachStdin: fields.flag('AttachStdin'),
      attachStdout: fields.flag('AttachStdout'),
      attachStderr: fields.flag('AttachStderr'),
      privileged: fields.flag('Privileged'),
      detachKeys: fields.text('DetachKeys'),
    });
    exec.size = readConsoleSize(fields) ?? exec.size;
    fields.ignore('Detach', 'ExecIDs', 'Container');
    fields.finish();
    sendJson(call, { Id: exec.id }, 201);
  };

  const start = async (call: Call): Promise<void> => {
    const exec = engine.execs.find(call.params.id!);
    const fields = readFields(await readJson(call), '');
    exec.size = readConsoleSize(fields) ?? exec.size;
    if (fields.flag('Detach')) {
      await engine.execs.start(exec, undefined);
      sendNothing(call, 200);
      return;
    }
    const { tty, attachStdout, attachStderr, attachStdin } = exec.input;
    // The head goes first, as docker's does: its Python client loses what comes in one piece with it. So a program that cannot
    // be started is told in the stream, and by the exit code.
    checkStart(exec);
    const connection = hijack(call, tty);
    let process: RunningProcess;
    try {
      process = await engine.execs.start(exec, undefined);
    } catch (error) {
      return connection.fail(tty, error as Error);
    }
    const leave = process.attach(connection.sink(tty, { stdout: attachStdout, stderr: attachStderr }));
    const filter = tty ? createDetachFilter(parseDetachKeys(exec.input.detachKeys)) : undefined;
    if (attachStdin)
      connection.input({
        data(chunk) {
          const { send, detach } = filter?.(Buffer.from(chunk)) ?? { send: chunk, detach: false };
          if (detach) {
            leave();
            connection.end();
            engine.announce(exec.container, 'exec_detach', { execID: exec.id });
          }
          return process.write(send);
        },
        end: () => process.closeStdin(),
        gone: () => process.closeStdin(),
      });
  };

  return [
    { method: 'POST', path: '/containers/:id/exec', handler: create },
    { method: 'POST', path: '/exec/:id/start', handler: start, upgrade: 'tcp' },
    {
      method: 'POST',
      path: '/exec/:id/resize',
      handler: (call) => {
        const exec = engine.execs.find(call.params.id!);
        exec.size = size(call);
        exec.process?.resize(...exec.size);
        sendNothing(call, 200);
      },
    },
    {
      method: 'GET',
      path: '/exec/:id/json',
      handler: (call) => {
        const exec = engine.execs.find(call.params.id!);
        const { args, tty, privileged, user, attachStdin, attachStdout, attachStderr, detachKeys } = exec.input;
        sendJson(call, {
          CanRemove: exec.status === 'exited',
          ContainerID: exec.container.record.id,
          DetachKeys: detachKeys,
          ExitCode: exec.exitCode ?? null,
          ID: exec.id,
          OpenStderr: attachStderr,
          OpenStdin: attachStdin,
          OpenStdout: attachStdout,
          Pid: exec.pid,
          ProcessConfig: { entrypoint: args[0], arguments: args.slice(1), privileged, tty, user },
          Running: exec.status === 'running',
        });
      },
    },
  ];
}
