// Serves shares over one connection to a guest: mounts them there and answers their FUSE requests.
import type { Socket } from 'node:net';
import { createFuseSession, type FuseSession } from './fuse.ts';
import {
  CONTROL,
  createPortDecoder,
  DONE,
  encodeControl,
  encodeHello,
  HELLO,
  MOUNT,
  MOUNT_PERMISSIONS,
  MOUNT_READ_ONLY,
  PORT_MAGIC,
  PORT_VERSION,
  PortViolation,
  REPLAY,
  SHARE_HEADER,
  UNMOUNT,
} from './port-protocol.ts';
import { openTree, type TreeOptions } from './tree.ts';

export interface ShareServer {
  /** Resolves to 0 once it is mounted in the guest at that path, else to an errno of the guest. Rejects with what the host's file system says. */
  mount(share: number, options: TreeOptions, target: string): Promise<number>;
  unmount(share: number): Promise<number>;
  /** Resolves when the connection is gone, with what the guest did wrong if that was why. */
  readonly closed: Promise<string | undefined>;
}

/** Replies that the guest has not taken: beyond, none of its requests is read. */
const UNSENT_MAX = 16 * 1024 ** 2;

export function createShareServer(port: Socket): ShareServer {
  const sessions = new Map<number, { session: FuseSession; mode: number }>();
  const waiting = new Map<string, (errno: number) => void>();
  let greeted = false;
  let agentPid = 0;
  let violation: string | undefined;
  let settleReady!: () => void;
  const ready = new Promise<void>((resolve) => {
    settleReady = resolve;
  });

  const ask = async (kind: number, share: number, ...more: (number | string)[]): Promise<number> => {
    await ready;
    if (port.destroyed) return EIO;
    const answered = new Promise<number>((resolve) => waiting.set(`${kind}/${share}`, resolve));
    port.write(encodeControl(kind, share, ...more));
    return answered;
  };
  const control = (message: Buffer): void => {
    const kind = message.readUInt32LE(4);
    if (kind === HELLO && !greeted && message.length === 24) {
      if (message.toString('latin1', 8, 16) !== PORT_MAGIC || message.readUInt32LE(16) !== PORT_VERSION)
        throw new PortViolation('another greeting');
      greeted = true;
      agentPid = message.readUInt32LE(20);
      settleReady();
    } else if (kind === DONE && message.length === 20) {
      const key = `${message.readUInt32LE(8)}/${message.readUInt32LE(12)}`;
      waiting.get(key)?.(message.readUInt32LE(16));
      waiting.delete(key);
    } else throw new PortViolation(`a message of kind ${kind}`);
  };

  const decoder = createPortDecoder((share, message) => {
    if (share === CONTROL) control(message);
    else sessions.get(share)?.session.take(message);
  });
  port.on('data', (chunk: Buffer) => {
    if (violation !== undefined) return;
    port.cork();
    try {
      decoder.push(chunk);
    } catch (error) {
      // Nothing of a guest ends the thread that serves it.
      violation = error instanceof PortViolation ? error.message : String(error);
      port.destroy();
      return;
    }
    port.uncork();
    if (port.writableLength > UNSENT_MAX) port.pause();
  });
  port.on('drain', () => port.resume());
  port.on('error', () => {});
  const closed = new Promise<string | undefined>((resolve) => {
    port.once('close', () => {
      settleReady();
      for (const done of waiting.values()) done(EIO);
      waiting.clear();
      for (const { session } of sessions.values()) session.close();
      sessions.clear();
      resolve(violation);
    });
  });
  port.write(encodeHello());

  return {
    closed,
    async mount(share, options, target) {
      const tree = openTree(options);
      const mode = Number(tree.stat(tree.nodes.root).mode);
      await ready;
      const send = (...parts: Buffer[]): void => {
        const header = Buffer.allocUnsafe(SHARE_HEADER);
        header.writeUInt32LE(share, 0);
        port.write(header);
        for (const part of parts) port.write(part);
      };
      const replay = (what: number, path: Buffer): void => void port.write(encodeControl(REPLAY, share, what, path));
      const session = createFuseSession(tree, send, { pid: agentPid, replay });
      sessions.set(share, { session, mode });
      const flags = (options.readOnly ? MOUNT_READ_ONLY : 0) | (options.owner === undefined ? MOUNT_PERMISSIONS : 0);
      const errno = await ask(MOUNT, share, flags, mode, target);
      if (errno !== 0) {
        sessions.delete(share);
        session.close();
      }
      return errno;
    },
    async unmount(share) {
      const errno = await ask(UNMOUNT, share);
      sessions.get(share)?.session.close();
      sessions.delete(share);
      return errno;
    },
  };
}

const EIO = 5;
