// Connections that the guest opens: a socket of this process each, and a stream of the channel once it is connected.
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ChannelStream } from '../channel/stream.ts';
import { answerByTcp } from './dns-tcp.ts';
import { errnoOf, isOwn } from './destinations.ts';
import { createSplitter, encodeRefusal, type FlowRequest, readRequest, REQUEST_BYTES } from './records.ts';
import { type RelayContext, takeRecords } from './context.ts';

/** At the same time: what is more is told that it cannot be reached. */
const FLOWS_MAX = 8192;
const LOOPBACKS = ['127.0.0.1', '::1'];

export function carryFlows(context: RelayContext, control: ChannelStream): void {
  const { channel, uplink, destinations } = context;
  const open = new Set<Duplex>();
  const refuse = (flow: number, code: string | undefined): void => {
    if (!control.destroyed) control.write(encodeRefusal(flow, errnoOf(code)));
  };

  const pass = ({ flow }: FlowRequest, socket: Duplex): void => {
    const stream = channel.open(['flow', String(flow)], { allowHalfOpen: true });
    join(stream, socket);
  };

  const begin = async (request: FlowRequest): Promise<void> => {
    const { flow, target } = request;
    if (open.size >= FLOWS_MAX) return refuse(flow, 'EHOSTUNREACH');
    const destination = await destinations.of(target);
    if (destination.kind === 'refused') return refuse(flow, destination.code);
    if (destination.kind === 'host' && !uplink.reachesHost) return refuse(flow, 'EACCES');
    if (destination.kind === 'names') {
      const near = answerByTcp((question) => uplink.resolve(question, true));
      track(near);
      return pass(request, near);
    }
    const hosts = destination.kind === 'host' ? LOOPBACKS : [target.address];
    let failure: string | undefined;
    for (const host of hosts) {
      const socket = connect({ host, port: target.port, allowHalfOpen: true, noDelay: true });
      track(socket);
      failure = await connected(socket);
      if (failure !== undefined) continue;
      // The routes may have changed since they were asked.
      if (destination.kind === 'outside' && isOwn(host, socket.localAddress ?? '')) {
        socket.destroy();
        return refuse(flow, 'EACCES');
      }
      return pass(request, socket);
    }
    refuse(flow, failure);
  };

  const track = (socket: Duplex): void => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  };

  const split = createSplitter(
    () => REQUEST_BYTES,
    (record) => void begin(readRequest(record)).catch(() => {}),
  );
  takeRecords(context, control, split);
  void channel.closed.then(() => {
    for (const socket of open) socket.destroy();
  });
}

/** Undefined when it is; else the code of the error. */
function connected(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.once('close', () => resolve('ECONNABORTED'));
  });
}

/** Each half ends by itself; a side that is cut off cuts off the other. */
function join(stream: ChannelStream, socket: Duplex): void {
  stream.on('error', () => socket.destroy());
  socket.on('error', () => stream.destroy());
  socket.once('close', () => {
    if (!socket.readableEnded) stream.destroy();
  });
  void stream.over.then(({ status }) => {
    if (status === 0) return;
    if ('resetAndDestroy' in socket) (socket as Socket).resetAndDestroy();
    else socket.destroy();
  });
  socket.pipe(stream);
  stream.pipe(socket);
}
