// /exec: further processes in running containers.
import type { Engine } from '../engine/engine.ts';
import { size } from './container-routes.ts';
import { readFields } from './fields.ts';
import { type Call, type Route, readJson, sendJson, sendNothing } from './http.ts';
import { hijack } from './stream.ts';

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
    fields.ignore('ConsoleSize', 'Detach', 'ExecIDs', 'Container');
    fields.finish();
    sendJson(call, { Id: exec.id }, 201);
  };

  const start = async (call: Call): Promise<void> => {
    const exec = engine.execs.find(call.params.id!);
    // An upgraded connection's body stands in front of what follows: docker's clients send it with a length.
    const body = call.upgraded ? await upgradedBody(call) : await readJson<{ Detach?: boolean; Tty?: boolean }>(call);
    if (body.Detach === true) {
      await engine.execs.start(exec, undefined);
      sendNothing(call, 200);
      return;
    }
    const { tty, attachStdout, attachStderr, attachStdin } = exec.input;
    const process = await engine.execs.start(exec, undefined);
    const connection = hijack(call, tty);
    process.attach(connection.sink(tty, { stdout: attachStdout, stderr: attachStderr }));
    if (attachStdin)
      connection.input({
        data: (chunk) => process.write(chunk),
        end: () => process.closeStdin(),
        gone: () => process.closeStdin(),
      });
  };

  return [
    { method: 'POST', path: '/containers/:id/exec', handler: create },
    { method: 'POST', path: '/exec/:id/start', handler: start },
    {
      method: 'POST',
      path: '/exec/:id/resize',
      handler: (call) => {
        engine.execs.find(call.params.id!).process?.resize(...size(call));
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

/** Takes the JSON body off an upgraded connection; what follows it is stdin. */
async function upgradedBody({ request, upgraded }: Call): Promise<{ Detach?: boolean; Tty?: boolean }> {
  const { socket } = upgraded!;
  const length = Number(request.headers['content-length'] ?? 0);
  let bytes = upgraded!.head;
  upgraded!.head = Buffer.alloc(0);
  while (bytes.length < length) {
    const chunk = await new Promise<Buffer | undefined>((resolve) => {
      socket.once('data', resolve);
      socket.once('close', () => resolve(undefined));
    });
    if (chunk === undefined) break;
    socket.pause();
    bytes = Buffer.concat([bytes, chunk]);
  }
  upgraded!.head = bytes.subarray(length);
  return JSON.parse(bytes.subarray(0, length).toString() || '{}') as { Detach?: boolean; Tty?: boolean };
}
