// Changes of the host, done again in the guest so that its programs are told by inotify(7): the guest's agent makes the system
// call that would have made the change, and the request that comes of it is answered as if it had, and changes nothing here.
import type { BigIntStats } from 'node:fs';
import { ShareError } from './errno.ts';
import type { Handlers, Request, Answer } from './fuse-handlers.ts';
import { NOTIFY_INVAL_ENTRY, NOTIFY_INVAL_INODE, OUT_HEADER, opcodes, writeNumber } from './fuse-protocol.ts';
import type { ShareNode } from './node.ts';
import type { Tree } from './tree.ts';
import type { Change } from './watch.ts';

/** What the agent is to do; vm-images/init/replay.c has the same numbers. */
export const replays = { content: 1, file: 2, directory: 3, link: 4, removed: 5, removedDirectory: 6 } as const;

const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
const NAME_AT = 16;
const PENDING_MAX = 1000;

export interface Replayer {
  /** A request of the agent; undefined: it is to be carried out as anybody's. */
  take(opcode: number, request: Request): { answer: Answer } | undefined;
  /** What the guest is to be told, in this order. */
  messages(change: Change): { notify: Buffer[]; what: number; path: Buffer } | undefined;
}

export function createReplayer(tree: Tree, handlers: Handlers): Replayer {
  const { nodes } = tree;
  const pending = new Map<string, Change>();
  const key = (directory: ShareNode, name: string): string => `${directory.id}/${name}`;

  const pathTo = (directory: ShareNode, name: string): string | undefined => {
    if (directory === nodes.root) return name;
    const [link] = directory.links.slice(-1);
    return link === undefined ? undefined : pathTo(link.parent, `${link.name}/${name}`);
  };
  const directoryOf = ({ node }: Request): ShareNode => {
    const directory = nodes.get(node);
    if (directory === undefined) throw new ShareError('ESTALE');
    return directory;
  };
  const taken = (request: Request, kind: Change['kind']): { directory: ShareNode; name: string; change: Change } => {
    const directory = directoryOf(request);
    const name = request.body.name();
    const change = pending.get(key(directory, name));
    if (change?.kind !== kind) throw new ShareError('EPERM');
    pending.delete(key(directory, name));
    return { directory, name, change };
  };
  const made = (request: Request): Buffer => {
    const { directory, name } = taken(request, 'created');
    const entry = tree.lookup(directory, name);
    if (entry === undefined) throw new ShareError('ENOENT');
    return handlers.entryReply(entry);
  };

  const lookup = (request: Request): { answer: Answer } | undefined => {
    const directory = directoryOf(request);
    const name = request.body.name();
    const change = pending.get(key(directory, name));
    if (change?.kind === 'created') throw new ShareError('ENOENT'); // As it was before.
    if (change?.kind !== 'removed' || change.node === undefined) return undefined;
    return { answer: handlers.entryReply({ node: change.node, stats: ghost(change.node) }) };
  };

  return {
    take(opcode, request) {
      const body = request.body.clone();
      const whole = { ...request, body };
      switch (opcode) {
        case opcodes.LOOKUP:
          return lookup(whole);
        case opcodes.MKNOD:
          body.skip(16);
          return { answer: made(whole) };
        case opcodes.MKDIR:
          body.skip(8);
          return { answer: made(whole) };
        case opcodes.SYMLINK:
          return { answer: made(whole) };
        case opcodes.UNLINK:
        case opcodes.RMDIR: {
          const { directory, name } = taken(whole, 'removed');
          nodes.lost(directory, name);
          return { answer: Buffer.alloc(0) };
        }
        case opcodes.SETATTR: {
          const node = directoryOf(request);
          return { answer: handlers.attributes(node, tree.stat(node)) };
        }
        case opcodes.OPEN:
          request.body.bytes.writeUInt32LE(0, request.body.bytes.length - 8); // To read, whatever it is to look like.
          return undefined;
        case opcodes.GETATTR:
        case opcodes.FORGET:
        case opcodes.BATCH_FORGET:
        case opcodes.RELEASE:
        case opcodes.FLUSH:
        case opcodes.INTERRUPT:
        case opcodes.OPENDIR:
        case opcodes.RELEASEDIR:
        case opcodes.INIT:
          return undefined;
        default:
          throw new ShareError('EPERM');
      }
    },
    messages(change) {
      const { kind, directory, name, node, type } = change;
      const path = pathTo(directory, name);
      if (path === undefined || (directory.id !== nodes.root.id && nodes.get(directory.id) === undefined))
        return undefined;
      if (pending.size >= PENDING_MAX) pending.clear(); // The guest does not follow: it goes by lifetimes.
      if (kind !== 'content') pending.set(key(directory, name), change);
      const notify =
        kind === 'content' ? [invalidInode(node!)] : kind === 'created' ? [invalidEntry(directory, name)] : [];
      return { notify, what: whatOf(kind, type), path: Buffer.from(path, 'latin1') };
    },
  };
}

function whatOf(kind: Change['kind'], type: number): number {
  if (kind === 'content') return replays.content;
  if (kind === 'removed') return type === S_IFDIR ? replays.removedDirectory : replays.removed;
  return type === S_IFDIR ? replays.directory : type === S_IFLNK ? replays.link : replays.file;
}

/** What has gone, as it may have been: it is there for one system call of the agent. */
function ghost(node: ShareNode): BigIntStats {
  const nothing = { size: 0n, blocks: 0n, uid: 0n, gid: 0n, rdev: 0n, blksize: 4096n };
  const times = { atimeNs: 0n, mtimeNs: 0n, ctimeNs: 0n };
  const { dev, ino, type } = node;
  return { ...nothing, ...times, dev, ino, mode: BigInt(type | 0o700), nlink: 1n } as BigIntStats;
}

function notification(code: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(OUT_HEADER); // A unique of 0: it answers nothing.
  header.writeUInt32LE(OUT_HEADER + payload.length, 0);
  header.writeInt32LE(code, 4);
  return Buffer.concat([header, payload]);
}

/** fuse_notify_inval_inode_out: all of its content, and its attributes. */
function invalidInode(node: ShareNode): Buffer {
  const payload = Buffer.alloc(24);
  writeNumber(payload, 0, node.id);
  return notification(NOTIFY_INVAL_INODE, payload);
}

/** fuse_notify_inval_entry_out. */
function invalidEntry(directory: ShareNode, name: string): Buffer {
  const payload = Buffer.alloc(NAME_AT + name.length + 1);
  writeNumber(payload, 0, directory.id);
  payload.writeUInt32LE(name.length, 8);
  payload.write(name, NAME_AT, 'latin1');
  return notification(NOTIFY_INVAL_ENTRY, payload);
}
