// The engine's end of a container's resolver: questions come as frames, answers go back under the same key.
import { FRAME_ANSWER, FRAME_QUESTION, RESOLVER_TCP } from '../../core-asm/abi.ts';
import type { ResolverLink } from '../backend.ts';
import type { Machine } from '../machine.ts';
import { openConnection } from './connection.ts';
import { encodeFrame, type Frame } from '../frames.ts';

const KEY = 4;

/** Every question gets an answer, if an empty one: the resolver counts what is under way. */
export async function serveResolver(
  socket: string,
  answer: (question: Uint8Array, tcp: boolean) => Promise<Uint8Array>,
  machine: Machine,
): Promise<ResolverLink> {
  let settle: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const listener = {
    frame({ type, stream, payload }: Frame) {
      if (type !== FRAME_QUESTION || payload.length < KEY) return;
      const key = payload.slice(0, KEY);
      const reply = (message: Uint8Array): void =>
        void connection.send(encodeFrame(FRAME_ANSWER, Buffer.concat([key, message])));
      answer(payload.slice(KEY), stream === RESOLVER_TCP).then(reply, () => reply(new Uint8Array(0)));
    },
    closed: () => settle(),
  };
  const connection = await openConnection(socket, listener, machine);
  connection.unref();
  return { closed, close: () => connection.close() };
}
