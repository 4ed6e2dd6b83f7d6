// Containers by their control sockets, whoever serves those: a supervisor of the executor, or another that speaks its frames.
import type { Recovery, RunningProcess, StartOptions } from '../backend.ts';
import { frames } from '../frames.ts';
import { openConnection } from './connection.ts';
import { attachFlags, readExit, superviseProcess } from './running-process.ts';

const silent = { frame() {}, closed() {} };

export const controlSockets = {
  async follow(
    path: string,
    { run, recovery, ...options }: StartOptions & { run: boolean; recovery?: Recovery | undefined },
  ): Promise<RunningProcess> {
    const connection = await openConnection(path, silent);
    const followed = superviseProcess({ ...options, connection, recovery });
    const attach = frames.attach(attachFlags(options));
    if (run) connection.send(attach, frames.run(new Uint8Array(0)));
    else connection.send(attach);
    return followed;
  },
  /** Over a connection of its own: the other one may be full of input. */
  async signal(path: string, signal: number): Promise<void> {
    const connection = await openConnection(path, silent);
    connection.send(frames.signal(signal));
    await connection.ended(); // Closed with a greeting unread in it, the socket would lose what was sent.
  },
  recordedExit: readExit,
};
