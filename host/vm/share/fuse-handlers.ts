// What each FUSE request does to a share, and what is answered. All that a guest may do is what `tree.ts` does.
import { fdatasync, fsync, readSync, writeSync } from 'node:fs';
import { ShareError } from './errno.ts';
import {
  ATTR_BYTES,
  direntBytes,
  ENTRY_BYTES,
  encodeSpace,
  FSYNC_DATA_ONLY,
  initFlags,
  type Lifetime,
  MAJOR,
  MAX_PAGES,
  MAX_WRITE,
  MINOR,
  OPEN_KEEP_CACHE,
  opcodes,
  RENAME_NOREPLACE,
  type RequestReader,
  SETATTR_ATIME,
  SETATTR_ATIME_NOW,
  SETATTR_FH,
  SETATTR_GID,
  SETATTR_MODE,
  SETATTR_MTIME,
  SETATTR_MTIME_NOW,
  SETATTR_SIZE,
  SETATTR_UID,
  writeAttributes,
  writeDirent,
  writeEntry,
  writeNumber,
} from './fuse-protocol.ts';
import { firstNumber, type ShareNode } from './node.ts';
import type { Changes, DirectoryEntry, Entry, OpenFile, Tree } from './tree.ts';

export interface Request {
  node: number;
  uid: number;
  gid: number;
  body: RequestReader;
}

interface OpenDirectory {
  entries: DirectoryEntry[];
}

/** What the guest may go by without asking. What the host changes is told sooner where it is noticed. */
const LIFETIME: Lifetime = { entry: 1, attributes: 1 };
const OPEN_MAX = 4096;
const COPY_MAX = 8 * 1024 ** 2;
const COPY_STEP = 256 * 1024;
const EMPTY = Buffer.alloc(0);
const S_IFDIR = 0o040000;
const dots: DirectoryEntry[] = ['.', '..'].map((name) => ({ name, type: S_IFDIR >> 12 }));

/** Nothing: no reply. */
export type Answer = Buffer | Buffer[] | Promise<Buffer> | undefined;

export interface Handlers {
  byOpcode: Partial<Record<number, (request: Request) => Answer>>;
  /** What the guest is told of what was found, which it then knows. */
  entryReply(entry: Entry): Buffer;
  attributes(node: ShareNode, stats: Entry['stats']): Buffer;
  close(): void;
}

/** @param saw told of each directory that the guest looks into. */
export function createHandlers(tree: Tree, saw: (directory: ShareNode) => void): Handlers {
  const { nodes, owner } = tree;
  const device = nodes.root.dev;
  const files = new Map<number, OpenFile>();
  const directories = new Map<number, OpenDirectory>();
  let lastHandle = firstNumber();

  const nodeOf = (id: number): ShareNode => {
    const node = nodes.get(id);
    if (node === undefined) throw new ShareError('ESTALE');
    return node;
  };
  const fileOf = (handle: number): OpenFile => {
    const file = files.get(handle);
    if (file === undefined) throw new ShareError('EBADF');
    return file;
  };
  const tell = (node: ShareNode, { mtimeNs, ctimeNs, size }: Entry['stats']): void => {
    node.known = { mtimeNs, ctimeNs, size };
  };
  const told = (out: Buffer, at: number, { node, stats }: Entry): void => {
    node.lookups++;
    tell(node, stats);
    writeEntry(out, at, node.id, { stats, owner }, LIFETIME, device);
  };
  const entryReply = (entry: Entry): Buffer => {
    const out = Buffer.allocUnsafe(ENTRY_BYTES);
    told(out, 0, entry);
    return out;
  };
  const attributes = (node: ShareNode, stats: Entry['stats']): Buffer => {
    tell(node, stats);
    const out = Buffer.allocUnsafe(16 + ATTR_BYTES);
    out.fill(0, 0, 16);
    writeNumber(out, 0, LIFETIME.attributes);
    writeAttributes(out, 16, { stats, owner }, device);
    return out;
  };
  const openReply = (handle: number, flags: number): Buffer => {
    const out = Buffer.alloc(16);
    writeNumber(out, 0, handle);
    out.writeUInt32LE(flags, 8);
    return out;
  };
  const keep = (file: OpenFile): number => {
    files.set(++lastHandle, file);
    return lastHandle;
  };
  const room = (): void => {
    if (files.size + directories.size >= OPEN_MAX) throw new ShareError('ENFILE');
  };
  const changesOf = (body: RequestReader): { changes: Changes; handle: number | undefined } => {
    const valid = body.u32();
    body.skip(4);
    const handle = body.u64();
    const size = body.u64();
    body.skip(8); // The owner of locks.
    const seconds = [body.i64(), body.i64(), body.i64()];
    const nanoseconds = [body.u32(), body.u32(), body.u32()];
    const mode = body.u32();
    body.skip(4);
    const [uid, gid] = [body.u32(), body.u32()];
    const time = (index: number): number => seconds[index]! + nanoseconds[index]! / 1e9;
    const changes: Changes = {};
    if (valid & SETATTR_MODE) changes.mode = mode;
    if (valid & SETATTR_UID) changes.uid = uid;
    if (valid & SETATTR_GID) changes.gid = gid;
    if (valid & SETATTR_SIZE) changes.size = size;
    if (valid & SETATTR_ATIME) changes.atime = valid & SETATTR_ATIME_NOW ? 'now' : time(0);
    if (valid & SETATTR_MTIME) changes.mtime = valid & SETATTR_MTIME_NOW ? 'now' : time(1);
    return { changes, handle: valid & SETATTR_FH ? handle : undefined };
  };
  const rename = (request: Request, to: number, keepOld: boolean): Answer => {
    const [name, newName] = [request.body.name(), request.body.name()];
    tree.rename(nodeOf(request.node), name, nodeOf(to), newName, keepOld);
    return EMPTY;
  };

  /** As much of a listing as fits; with `plus` each name brings what a lookup would. */
  const listing = ({ node: id, body }: Request, plus: boolean): Buffer => {
    const [handle, offset, size] = [body.u64(), body.u64(), Math.min(body.u32(), MAX_WRITE)];
    const node = nodeOf(id);
    const directory = directories.get(handle);
    if (directory === undefined) throw new ShareError('EBADF');
    if (offset === 0 || directory.entries.length === 0) {
      saw(node); // Before it is read: what changes from now on is noticed.
      directory.entries = [...dots, ...tree.list(node)];
    }
    const out = Buffer.allocUnsafe(size);
    let at = 0;
    for (let index = offset; index < directory.entries.length; index++) {
      const { name, type } = directory.entries[index]!;
      const bytes = (plus ? ENTRY_BYTES : 0) + direntBytes(name);
      if (at + bytes > size) break;
      let entry: Entry | undefined;
      if (plus && index < dots.length) {
        out.fill(0, at, at + ENTRY_BYTES); // No lookup: the guest's kernel knows both.
        at += ENTRY_BYTES;
      } else if (plus) {
        entry = tree.lookup(node, name);
        if (entry === undefined) continue; // Gone meanwhile.
        told(out, at, entry);
        at += ENTRY_BYTES;
      }
      writeDirent(out, at, entry?.stats.ino ?? BigInt(index + 1), index + 1, type, name);
      at += direntBytes(name);
    }
    return out.subarray(0, at);
  };

  const byOpcode: Handlers['byOpcode'] = {
    [opcodes.INIT]({ body }) {
      const [major, minor, readahead, offered] = [body.u32(), body.u32(), body.u32(), body.u32()];
      if (major !== MAJOR || minor < MINOR) throw new ShareError('EINVAL');
      let wanted = 0;
      for (const flag of Object.values(initFlags)) wanted |= flag;
      const out = Buffer.alloc(64);
      out.writeUInt32LE(MAJOR, 0);
      out.writeUInt32LE(MINOR, 4);
      out.writeUInt32LE(Math.max(readahead, MAX_WRITE), 8);
      out.writeUInt32LE((offered & wanted) >>> 0, 12);
      out.writeUInt16LE(64, 16); // Requests in the background, and from how many on more wait.
      out.writeUInt16LE(48, 18);
      out.writeUInt32LE(MAX_WRITE, 20);
      out.writeUInt32LE(1, 24); // Times in nanoseconds.
      out.writeUInt16LE(MAX_PAGES, 28);
      return out;
    },
    [opcodes.LOOKUP]({ node, body }) {
      const directory = nodeOf(node);
      const entry = tree.lookup(directory, body.name());
      saw(directory);
      if (entry !== undefined) return entryReply(entry);
      const out = Buffer.allocUnsafe(ENTRY_BYTES);
      writeEntry(out, 0, 0, undefined, LIFETIME, device);
      return out;
    },
    [opcodes.FORGET]({ node, body }) {
      const known = nodes.get(node);
      if (known !== undefined) nodes.forget(known, body.u64());
      return undefined;
    },
    [opcodes.BATCH_FORGET]({ body }) {
      const count = body.u32();
      body.skip(4);
      for (let index = 0; index < count; index++) {
        const known = nodes.get(body.u64());
        const times = body.u64();
        if (known !== undefined) nodes.forget(known, times);
      }
      return undefined;
    },
    [opcodes.GETATTR]({ node }) {
      const known = nodeOf(node);
      return attributes(known, tree.stat(known));
    },
    [opcodes.SETATTR]({ node, body }) {
      const known = nodeOf(node);
      const { changes, handle } = changesOf(body);
      return attributes(known, tree.change(known, changes, handle === undefined ? undefined : files.get(handle)));
    },
    [opcodes.READLINK]: ({ node }) => tree.readlink(nodeOf(node)),
    [opcodes.SYMLINK](request) {
      const name = request.body.name();
      const target = Buffer.from(request.body.name(), 'latin1');
      return entryReply(tree.symlink(nodeOf(request.node), name, target, request));
    },
    [opcodes.MKNOD](request) {
      const mode = request.body.u32();
      request.body.skip(12);
      return entryReply(tree.mknod(nodeOf(request.node), request.body.name(), mode, request));
    },
    [opcodes.MKDIR](request) {
      const mode = request.body.u32();
      request.body.skip(4);
      return entryReply(tree.mkdir(nodeOf(request.node), request.body.name(), mode, request));
    },
    [opcodes.UNLINK]({ node, body }) {
      tree.unlink(nodeOf(node), body.name());
      return EMPTY;
    },
    [opcodes.RMDIR]({ node, body }) {
      tree.rmdir(nodeOf(node), body.name());
      return EMPTY;
    },
    [opcodes.RENAME]: (request) => rename(request, request.body.u64(), false),
    [opcodes.RENAME2](request) {
      const [to, flags] = [request.body.u64(), request.body.u32()];
      request.body.skip(4);
      if ((flags & ~RENAME_NOREPLACE) !== 0) throw new ShareError('EINVAL'); // No exchange: the host has no call for it.
      return rename(request, to, flags === RENAME_NOREPLACE);
    },
    [opcodes.LINK]({ node, body }) {
      const existing = nodeOf(body.u64());
      return entryReply(tree.link(existing, nodeOf(node), body.name()));
    },
    [opcodes.OPEN]({ node, body }) {
      room();
      const known = nodeOf(node);
      const before = known.known;
      if (before !== undefined) {
        // Changed on the host since: at a stale handle the guest's kernel looks the name up again (path_openat), and sees it.
        const stats = tree.stat(known);
        tell(known, stats);
        if (stats.mtimeNs !== before.mtimeNs || stats.size !== before.size) throw new ShareError('ESTALE');
      }
      const flags = body.u32();
      const file = tree.open(known, flags);
      if (file.writes) known.known = undefined;
      return openReply(keep(file), OPEN_KEEP_CACHE);
    },
    [opcodes.CREATE](request) {
      room();
      const [flags, mode] = [request.body.u32(), request.body.u32()];
      request.body.skip(8);
      const made = tree.create(nodeOf(request.node), request.body.name(), flags, mode, request);
      const out = entryReply(made);
      made.node.known = undefined;
      return [out, openReply(keep(made.file), OPEN_KEEP_CACHE)];
    },
    [opcodes.READ]({ body }) {
      const [file, offset, size] = [fileOf(body.u64()), body.u64(), Math.min(body.u32(), MAX_WRITE)];
      const out = Buffer.allocUnsafeSlow(size);
      let done = 0;
      while (done < size) {
        const got = readSync(file.fd, out, done, size - done, offset + done);
        if (got === 0) break;
        done += got;
      }
      return out.subarray(0, done);
    },
    [opcodes.WRITE]({ body }) {
      const [file, offset, size] = [fileOf(body.u64()), body.u64(), body.u32()];
      body.skip(20);
      const data = body.take(size);
      file.node.known = undefined;
      let done = 0;
      while (done < size) done += writeSync(file.fd, data, done, size - done, offset + done);
      const out = Buffer.alloc(8);
      out.writeUInt32LE(done, 0);
      return out;
    },
    [opcodes.STATFS]: ({ node }) => encodeSpace(tree.space(nodeOf(node))),
    [opcodes.RELEASE]({ body }) {
      const handle = body.u64();
      const file = fileOf(handle);
      files.delete(handle);
      tree.release(file);
      return EMPTY;
    },
    [opcodes.FLUSH]: () => EMPTY,
    [opcodes.FSYNC]({ body }) {
      const { fd } = fileOf(body.u64());
      const sync = body.u32() & FSYNC_DATA_ONLY ? fdatasync : fsync;
      return new Promise((resolve, reject) => sync(fd, (error) => (error ? reject(error) : resolve(EMPTY))));
    },
    [opcodes.OPENDIR]({ node }) {
      room();
      if (nodeOf(node).type !== S_IFDIR) throw new ShareError('ENOTDIR');
      directories.set(++lastHandle, { entries: [] });
      return openReply(lastHandle, 0);
    },
    [opcodes.READDIR]: (request) => listing(request, false),
    [opcodes.READDIRPLUS]: (request) => listing(request, true),
    [opcodes.RELEASEDIR]({ body }) {
      directories.delete(body.u64());
      return EMPTY;
    },
    [opcodes.FSYNCDIR]: () => EMPTY,
    [opcodes.ACCESS]: () => EMPTY,
    // Requests are carried out one after the other: by now it is done.
    [opcodes.INTERRUPT]: () => undefined,
    [opcodes.DESTROY]: () => EMPTY,
    [opcodes.COPY_FILE_RANGE]({ body }) {
      const [from, fromAt] = [fileOf(body.u64()), body.u64()];
      body.skip(8);
      const [to, toAt, length] = [fileOf(body.u64()), body.u64(), body.u64()];
      to.node.known = undefined;
      const done = copyRange(from.fd, fromAt, to.fd, toAt, Math.min(length, COPY_MAX));
      const out = Buffer.alloc(8);
      out.writeUInt32LE(done, 0);
      return out;
    },
  };

  return {
    byOpcode,
    entryReply,
    attributes,
    close() {
      for (const file of files.values()) tree.release(file);
      files.clear();
      directories.clear();
      tree.close();
    },
  };
}

function copyRange(from: number, fromAt: number, to: number, toAt: number, length: number): number {
  const piece = Buffer.allocUnsafe(Math.min(length, COPY_STEP));
  let done = 0;
  while (done < length) {
    const got = readSync(from, piece, 0, Math.min(piece.length, length - done), fromAt + done);
    if (got === 0) break;
    for (let put = 0; put < got; ) put += writeSync(to, piece, put, got - put, toAt + done + put);
    done += got;
  }
  return done;
}
