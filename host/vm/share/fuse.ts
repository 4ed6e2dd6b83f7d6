// One guest's view of one share: FUSE requests in, replies out. Nothing that comes in makes it throw.
import { errnoOf, ShareError } from './errno.ts';
import { createHandlers } from './fuse-handlers.ts';
import { OUT_HEADER, opcodes, RequestReader, ShortRequest } from './fuse-protocol.ts';
import { createReplayer } from './replay.ts';
import type { Tree } from './tree.ts';
import { watchTree } from './watch.ts';

export interface FuseSession {
  /** One whole request. Never throws. */
  take(request: Buffer): void;
  close(): void;
}

/** @param send one whole reply, in parts. */
export type SendReply = (...parts: Buffer[]) => void;

/** Who makes the guest's programs see what the host has changed. */
export interface Agent {
  /** Of its thread in the guest. */
  pid: number;
  /** Lets it do something, and be told what that has become by requests. */
  replay(what: number, path: Buffer): void;
}

/** @param agent absent: the guest sees changes of the host after a second at the latest, and by no notice. */
export function createFuseSession(tree: Tree, send: SendReply, agent?: Agent): FuseSession {
  const handlers = createHandlers(tree, (directory) => watch?.saw(directory));
  const { byOpcode } = handlers;
  const replayer = agent && createReplayer(tree, handlers);
  const watch =
    agent &&
    watchTree(tree, (change) => {
      const messages = replayer?.messages(change);
      if (messages === undefined) return;
      for (const notification of messages.notify) send(notification);
      agent.replay(messages.what, messages.path);
    });

  const answer = (unique: Buffer, error: number, parts: Buffer[] = []): void => {
    let length = OUT_HEADER;
    for (const part of parts) length += part.length;
    const header = Buffer.allocUnsafe(OUT_HEADER);
    header.writeUInt32LE(length, 0);
    header.writeInt32LE(-error, 4);
    unique.copy(header, 8);
    send(header, ...parts);
  };

  return {
    take(request) {
      const opcode = request.readUInt32LE(4);
      const unique = request.subarray(8, 16);
      const quiet = opcode === opcodes.FORGET || opcode === opcodes.BATCH_FORGET || opcode === opcodes.INTERRUPT;
      const fail = (id: Buffer, error: unknown): void => {
        if (!quiet) answer(id, error instanceof ShortRequest ? EINVAL : errnoOf(error));
      };
      try {
        const handler = byOpcode[opcode];
        if (handler === undefined) throw new ShareError('ENOSYS');
        const asked = {
          node: request.readUInt32LE(16) + request.readUInt32LE(20) * 2 ** 32,
          uid: request.readUInt32LE(24),
          gid: request.readUInt32LE(28),
          body: new RequestReader(request),
        };
        const replayed = agent?.pid === request.readUInt32LE(32) ? replayer?.take(opcode, asked) : undefined;
        const result = replayed === undefined ? handler(asked) : replayed.answer;
        if (result === undefined) return;
        if (result instanceof Promise) {
          const id = Buffer.from(unique);
          result.then(
            (out) => answer(id, 0, [out]),
            (error) => fail(id, error),
          );
        } else if (Array.isArray(result)) answer(unique, 0, result);
        else answer(unique, 0, result.length > 0 ? [result] : []);
      } catch (error) {
        fail(unique, error);
      }
      tree.trim();
    },
    close() {
      watch?.close();
      handlers.close();
    },
  };
}

const EINVAL = 22;
