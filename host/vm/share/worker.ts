// The thread that serves shares: its calls to the file system wait, which the engine's own thread must not.
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { createShareServer } from './server.ts';
import type { TreeOptions } from './tree.ts';

export interface ShareThreadData {
  /** Path of a unix socket or a named pipe that QEMU listens on. */
  port: string;
}

export type ShareRequest = { id: number } & (
  | { kind: 'mount'; share: number; options: TreeOptions; target: string }
  | { kind: 'unmount'; share: number }
);

export type ShareAnswer = { id: number; errno?: number; failure?: string };

/** An error's stack costs more than most requests, and nobody reads it. */
Error.stackTraceLimit = 0;

const socket = connect((workerData as ShareThreadData).port);
const server = createShareServer(socket);

parentPort!.on('message', (request: ShareRequest) => {
  const { id } = request;
  const done =
    request.kind === 'mount'
      ? server.mount(request.share, request.options, request.target)
      : server.unmount(request.share);
  done.then(
    (errno) => parentPort!.postMessage({ id, errno } satisfies ShareAnswer),
    (error: Error) => parentPort!.postMessage({ id, failure: error.message } satisfies ShareAnswer),
  );
});
void server.closed.then(() => parentPort!.close());
