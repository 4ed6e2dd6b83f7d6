// A share against a guest whose kernel is hostile: it may write any request, and gets nothing that is outside, or not to be written.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFuseSession, type FuseSession } from '../../../host/vm/share/fuse.ts';
import { opcodes } from '../../../host/vm/share/fuse-protocol.ts';
import { createPortDecoder, PortViolation } from '../../../host/vm/share/port-protocol.ts';
import { openTree, type Tree } from '../../../host/vm/share/tree.ts';
import { createRandom } from '../../helpers/random.ts';
import { type Reply, readReply, request } from './share-messages.ts';

const ROOT = 1;
const errno = {
  EPERM: 1,
  ENOENT: 2,
  EBADF: 9,
  EISDIR: 21,
  ENXIO: 6,
  EINVAL: 22,
  EROFS: 30,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ESTALE: 116,
};
const O_RDWR = 2;
const O_WRONLY = 1;

describe.each([
  ['by fds', false],
  ['by paths', true],
])('a share that is walked %s', (_name, portable) => {
  let directory: string;
  let shared: string;
  let tree: Tree;
  let session: FuseSession;
  let replies: Reply[];

  const open = (readOnly: boolean): void => {
    session?.close();
    tree = openTree({ source: shared, readOnly, portable });
    session = createFuseSession(tree, (...parts) => replies.push(readReply(Buffer.concat(parts))));
  };
  const ask = (...given: Parameters<typeof request>): Reply => {
    session.take(request(...given));
    return replies.at(-1)!;
  };
  const lookup = (name: string, parent = ROOT): number => {
    const { errno: failed, body } = ask('LOOKUP', parent, name);
    expect([name, failed]).toEqual([name, 0]);
    return Number(body.readBigUInt64LE(0));
  };
  const opened = (node: number, flags: number): bigint => {
    const { errno: failed, body } = ask('OPEN', node, flags, 0);
    expect(failed).toBe(0);
    return body.readBigUInt64LE(0);
  };
  const read = (handle: bigint): string => ask('READ', 0, handle, 0n, 4096, 0, 0n, 0, 0).body.toString();

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-share-'));
    shared = join(directory, 'shared');
    mkdirSync(join(shared, 'inner'), { recursive: true });
    writeFileSync(join(directory, 'secret'), 'secret');
    writeFileSync(join(shared, 'file'), 'public');
    writeFileSync(join(shared, 'inner/file'), 'inner');
    replies = [];
    session = undefined as unknown as FuseSession;
    open(false);
    expect(ask('INIT', 0, 7, 38, 131072, 0xffffffff).body.readUInt32LE(0)).toBe(7);
  });

  afterEach(() => {
    session.close();
    expect(readFileSync(join(directory, 'secret'), 'utf8')).toBe('secret');
    expect(readdirSync(directory).sort()).toEqual(['secret', 'shared']);
    rmSync(directory, { recursive: true });
  });

  it('takes names, and no paths', () => {
    for (const name of ['..', '.', '', '../secret', 'inner/file', '/etc/passwd', 'inner/../../secret']) {
      expect([name, ask('LOOKUP', ROOT, name).errno]).toEqual([name, errno.EINVAL]);
      expect(ask('MKDIR', ROOT, 0o755, 0, name).errno).toBe(errno.EINVAL);
      expect(ask('UNLINK', ROOT, name).errno).toBe(errno.EINVAL);
      expect(ask('CREATE', ROOT, O_RDWR, 0o644, 0, 0, name).errno).toBe(errno.EINVAL);
      expect(ask('RENAME', ROOT, 1n, 'file', name).errno).toBe(errno.EINVAL);
      expect(ask('RENAME', ROOT, 1n, name, 'file').errno).toBe(errno.EINVAL);
      expect(ask('SYMLINK', ROOT, name, 'target').errno).toBe(errno.EINVAL);
      expect(ask('MKNOD', ROOT, 0o100644, 0, 0, 0, name).errno).toBe(errno.EINVAL);
      expect(ask('LINK', ROOT, BigInt(lookup('file')), name).errno).toBe(errno.EINVAL);
    }
    expect(ask('LOOKUP', ROOT, 'x'.repeat(256)).errno).toBe(errno.ENAMETOOLONG);
    expect(read(opened(lookup('file', lookup('inner')), 0))).toBe('inner');
  });

  it('follows no link, whoever made it', () => {
    symlinkSync(join(directory, 'secret'), join(shared, 'absolute'));
    expect(ask('SYMLINK', ROOT, 'relative', '../secret').errno).toBe(0);
    symlinkSync('..', join(shared, 'up'));
    for (const name of ['absolute', 'relative']) {
      const node = lookup(name);
      expect(ask('OPEN', node, 0, 0).errno).toBe(errno.ENXIO);
      expect(ask('SETATTR', node, 8, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0).errno).toBe(errno.EINVAL);
    }
    const up = lookup('up');
    expect(ask('LOOKUP', up, 'secret').errno).not.toBe(0);
    expect(ask('OPENDIR', up, 0, 0).errno).not.toBe(0);
    expect(ask('CREATE', up, O_WRONLY, 0o644, 0, 0, 'made').errno).not.toBe(0);
  });

  it('is not led out by a directory that becomes a link', () => {
    const inner = lookup('inner');
    const file = lookup('file', inner);
    renameSync(join(shared, 'inner'), join(shared, 'moved'));
    symlinkSync('..', join(shared, 'inner'));
    // It is either the directory that it was, wherever that is in the share now, or none.
    const secret = ask('LOOKUP', inner, 'secret');
    expect(secret.errno === 0 ? secret.body.readBigUInt64LE(0) : 0n).toBe(0n);
    expect(ask('UNLINK', inner, 'secret').errno).not.toBe(0);
    ask('CREATE', inner, O_WRONLY, 0o600, 0, 0, 'made');
    ask('OPEN', file, O_RDWR, 0);
    expect(readdirSync(directory).sort()).toEqual(['secret', 'shared']);
    rmSync(join(shared, 'inner'));
    rmSync(join(shared, 'moved'), { recursive: true });
    symlinkSync('../secret', join(shared, 'swapped'));
    writeFileSync(join(shared, 'target'), 'x');
    const target = lookup('target');
    rmSync(join(shared, 'target'));
    renameSync(join(shared, 'swapped'), join(shared, 'target'));
    for (const name of ['OPEN', 'GETATTR'] as const)
      expect([name, ask(name, target, O_WRONLY, 0, 0n).errno]).toEqual([name, errno.ESTALE]);
  });

  it('writes nothing where it is read-only, whatever the guest has mounted', () => {
    open(true);
    const [file, inner] = [lookup('file'), lookup('inner')];
    const state = () => {
      const { mode, uid, gid, size, mtimeNs, ctimeNs, nlink } = statSync(join(shared, 'file'), { bigint: true });
      return { mode, uid, gid, size, mtimeNs, ctimeNs, nlink };
    };
    const before = state();
    const valid = [1, 2, 8, 16 | 128, 32 | 256];
    for (const reply of [
      ...valid.map((bits) => ask('SETATTR', file, bits, 0, 0n, 1n, 0n, 0n, 0n, 0n, 0, 0, 0, 0o777, 0, 1, 1, 0)),
      ...[O_WRONLY, O_RDWR, 0o1000].map((flags) => ask('OPEN', file, flags, 0)),
      ask('CREATE', ROOT, 0, 0o644, 0, 0, 'new'),
      ask('CREATE', ROOT, O_RDWR, 0o644, 0, 0, 'file'),
      ask('MKNOD', ROOT, 0o100644, 0, 0, 0, 'new'),
      ask('MKDIR', ROOT, 0o755, 0, 'new'),
      ask('SYMLINK', ROOT, 'new', 'target'),
      ask('LINK', ROOT, BigInt(file), 'new'),
      ask('UNLINK', ROOT, 'file'),
      ask('RMDIR', ROOT, 'inner'),
      ask('RENAME', ROOT, BigInt(inner), 'file', 'file'),
      ask('RENAME2', ROOT, 1n, 0, 0, 'file', 'new'),
    ])
      expect(reply.errno).toBe(errno.EROFS);
    const handle = opened(file, 0);
    expect(read(handle)).toBe('public');
    expect(ask('WRITE', file, handle, 0n, 1, 0, 0n, 0, 0, Buffer.from('x')).errno).toBe(errno.EBADF);
    expect(ask('COPY_FILE_RANGE', file, handle, 0n, BigInt(file), handle, 0n, 3n, 0n).errno).toBe(errno.EBADF);
    expect(state()).toEqual(before);
    expect(readdirSync(shared).sort()).toEqual(['file', 'inner']);
  });

  it('opens neither FIFOs nor devices, and makes no devices', () => {
    execFileSync('mkfifo', [join(shared, 'pipe')]);
    for (const flags of [0, O_WRONLY, O_RDWR]) expect(ask('OPEN', lookup('pipe'), flags, 0).errno).toBe(errno.ENXIO);
    expect(ask('CREATE', ROOT, O_WRONLY, 0o644, 0, 0, 'pipe').errno).toBe(errno.ENXIO);
    for (const type of [0o020000, 0o060000])
      expect(ask('MKNOD', ROOT, type | 0o666, 0x103, 0, 0, 'device').errno).toBe(errno.EPERM);
    expect(ask('OPEN', ROOT, 0, 0).errno).toBe(errno.EISDIR);
  });

  it('answers what it does not know, and what makes no sense', () => {
    expect(ask(4711, ROOT).errno).toBe(errno.ENOSYS);
    // Extended attributes, locks, ioctl and the like.
    for (const opcode of [21, 22, 23, 24, 31, 37, 39, 40, 43, 46, 48, 50])
      expect(ask(opcode, ROOT).errno).toBe(errno.ENOSYS);
    expect(ask('GETATTR', 999, 0, 0, 0n).errno).toBe(errno.ESTALE);
    expect(ask('READ', ROOT, 77n, 0n, 10, 0, 0n, 0, 0).errno).toBe(errno.EBADF);
    expect(ask('LOOKUP', ROOT).errno).toBe(errno.EINVAL);
    expect(ask('LOOKUP', ROOT, Buffer.from('unterminated')).errno).toBe(errno.EINVAL);
    expect(ask('INIT', 0, 6, 0, 0, 0).errno).toBe(errno.EINVAL);
    const handle = opened(lookup('file'), O_RDWR);
    expect(ask('WRITE', ROOT, handle, 0n, 4_000_000_000, 0, 0n, 0, 0, Buffer.from('x')).errno).toBe(errno.EINVAL);
    expect(ask('READ', ROOT, handle, 2n ** 63n, 4_000_000_000, 0, 0n, 0, 0).errno).not.toBe(0);
  });

  it('lives through requests of random bytes, and changes nothing outside', () => {
    const { below, pick } = createRandom(portable ? 7 : 8);
    const codes = Object.values(opcodes);
    const nodes = [ROOT, lookup('file'), lookup('inner'), lookup('file', lookup('inner')), 99];
    const handles = [opened(nodes[1]!, O_RDWR), ask('OPENDIR', ROOT, 0, 0).body.readBigUInt64LE(0), 3n];
    const names = ['file', 'inner', '..', 'new', '', 'a/b', '../secret', 'x'.repeat(300)];
    for (let round = 0; round < 3000; round++) {
      const body = Array.from({ length: below(8) }, () =>
        pick<() => number | bigint | string>([
          () => below(5),
          () => below(2 ** 31),
          () => BigInt(below(9)),
          () => BigInt(pick(nodes)),
          () => pick(handles),
          () => 2n ** 64n - BigInt(1 + below(4)),
          () => pick(names),
        ])(),
      );
      session.take(request(pick(codes), pick(nodes), ...body));
    }
    for (const { errno: failed } of replies) expect(failed).toBeGreaterThanOrEqual(0);
    if (!existsSync(join(shared, 'again'))) expect(ask('MKDIR', ROOT, 0o755, 0, 'again').errno).toBe(0);
  });
});

describe('the port of the shares', () => {
  it('is read in pieces of any size', () => {
    const messages = [
      request('LOOKUP', 1, 'a'),
      request('GETATTR', 2, 0, 0, 0n),
      request('WRITE', 3, Buffer.alloc(70_000, 7)),
    ];
    const framed = Buffer.concat(messages.flatMap((message, index) => [Buffer.from([index + 1, 0, 0, 0]), message]));
    for (const step of [1, 3, 7, 8, 43, 44, 45, 65536, framed.length]) {
      const seen: [number, string][] = [];
      const decoder = createPortDecoder((share, message) => seen.push([share, message.toString('latin1')]));
      for (let at = 0; at < framed.length; at += step) decoder.push(framed.subarray(at, at + step));
      expect(seen).toEqual(messages.map((message, index) => [index + 1, message.toString('latin1')]));
    }
  });

  it.each([0, 7, 39, 2 ** 21, 2 ** 32 - 1])('takes no message of %d bytes', (length) => {
    const header = Buffer.alloc(8);
    header.writeUInt32LE(1, 0);
    header.writeUInt32LE(length, 4);
    expect(() => createPortDecoder(() => {}).push(header)).toThrow(PortViolation);
  });
});
