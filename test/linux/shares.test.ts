// Directories that are shared with a guest, as its programs see them: what POSIX says of files, and what both sides see of each other.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../helpers/cli.ts';
import { type ShareGuest, startShareGuest, whyNoShares } from '../helpers/share-guest.ts';

describe.skipIf(whyNoShares())('a shared directory', () => {
  let guest: ShareGuest;
  let host: string;
  let there: string;
  let count = 0;
  /** A fresh directory for each case, on both sides. */
  const at = { host: '', guest: '' };
  const inGuest = (name: string): string => join(at.guest, name);
  const onHost = (name: string): string => join(at.host, name);
  const refuses = (code: string, act: () => unknown): void => expect(act).toThrow(expect.objectContaining({ code }));

  /** A program beside the mounts: what is reached through another's /proc has no path of its own. */
  const run = (script: string, ...program: string[]): string => {
    const words = program.length > 0 ? program : ['sh', '-c'];
    const directory = at.guest.replace(/^\/proc\/\d+\/root/, '');
    const place = ['-t', String(guest.pid), '-m', 'sh', '-c', 'cd "$0" && exec "$@"', directory];
    const { status, stdout, stderr } = spawnSync('nsenter', [...place, ...words, script], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, HOME: directory, GIT_CONFIG_NOSYSTEM: '1' },
    });
    return `${stdout}${stderr}${status === 0 ? '' : `status ${status}`}`;
  };
  const python = ['/usr/bin/python3', '-c'];

  beforeAll(async () => {
    host = mkdtempSync(join(tmpdir(), 'gantry-shared-'));
    chmodSync(host, 0o755);
    guest = await startShareGuest();
    there = await guest.share({ source: host, readOnly: false });
  });

  afterAll(async () => {
    await guest?.close();
    rmSync(host, { recursive: true, force: true });
  });

  beforeEach(() => {
    const name = `case-${++count}`;
    mkdirSync(join(there, name));
    at.host = join(host, name);
    at.guest = join(there, name);
  });

  it('is the same on both sides at once, when the guest writes', () => {
    writeFileSync(inGuest('file'), 'content');
    expect(readFileSync(onHost('file'), 'utf8')).toBe('content');
    appendFileSync(inGuest('file'), ', and more');
    expect(readFileSync(onHost('file'), 'utf8')).toBe('content, and more');
    expect(lstatSync(inGuest('file')).ino).toBe(lstatSync(onHost('file')).ino);
    const [seen, real] = [lstatSync(inGuest('file'), { bigint: true }), lstatSync(onHost('file'), { bigint: true })];
    for (const field of ['mode', 'nlink', 'uid', 'gid', 'size', 'blocks', 'mtimeNs', 'ctimeNs'] as const)
      expect([field, seen[field]]).toEqual([field, real[field]]);
  });

  it('opens what the host has just changed as it is now', () => {
    writeFileSync(onHost('file'), 'one');
    expect(readFileSync(inGuest('file'), 'utf8')).toBe('one');
    writeFileSync(onHost('file'), 'two, longer');
    expect(readFileSync(inGuest('file'), 'utf8')).toBe('two, longer');
    // As editors do it.
    writeFileSync(onHost('new'), 'three');
    renameSync(onHost('new'), onHost('file'));
    expect(readFileSync(inGuest('file'), 'utf8')).toBe('three');
  });

  it('renames over files and directories, and from one directory to another', () => {
    for (const name of ['a', 'b']) writeFileSync(inGuest(name), name);
    const open = openSync(inGuest('b'), 'r');
    renameSync(inGuest('a'), inGuest('b'));
    expect(readFileSync(inGuest('b'), 'utf8')).toBe('a');
    expect(existsSync(inGuest('a'))).toBe(false);
    expect(readFileSync(open, 'utf8')).toBe('b'); // What was replaced is there for who has it open.
    closeSync(open);
    for (const name of ['one', 'two', 'two/full']) mkdirSync(inGuest(name));
    refuses('ENOTEMPTY', () => renameSync(inGuest('one'), inGuest('two')));
    renameSync(inGuest('b'), inGuest('one/c'));
    renameSync(inGuest('one'), inGuest('two/full'));
    expect(readFileSync(onHost('two/full/c'), 'utf8')).toBe('a');
    refuses('EINVAL', () => renameSync(inGuest('two'), inGuest('two/full/inside')));
    mkdirSync(inGuest('three'));
    refuses('EISDIR', () => renameSync(inGuest('two/full/c'), inGuest('three')));
    refuses('ENOENT', () => renameSync(inGuest('none'), inGuest('some')));
    // Below a directory that has moved, names still lead to the same files.
    appendFileSync(inGuest('two/full/c'), '+');
    expect(readFileSync(onHost('two/full/c'), 'utf8')).toBe('a+');
  });

  it('has hard links: one file, whichever name goes', () => {
    writeFileSync(inGuest('a'), 'x');
    linkSync(inGuest('a'), inGuest('b'));
    expect(statSync(inGuest('a')).nlink).toBe(2);
    expect(statSync(inGuest('b')).ino).toBe(statSync(inGuest('a')).ino);
    unlinkSync(inGuest('b'));
    appendFileSync(inGuest('a'), 'y');
    expect(readFileSync(onHost('a'), 'utf8')).toBe('xy');
    linkSync(inGuest('a'), inGuest('c'));
    unlinkSync(inGuest('a'));
    expect(readFileSync(inGuest('c'), 'utf8')).toBe('xy');
    refuses('EEXIST', () => linkSync(inGuest('c'), inGuest('c')));
    mkdirSync(inGuest('d'));
    refuses('EPERM', () => linkSync(inGuest('d'), inGuest('e')));
    symlinkSync('nowhere', inGuest('s'));
    linkSync(inGuest('s'), inGuest('t'));
    expect(readlinkSync(onHost('t'))).toBe('nowhere');
  });

  it('keeps what is open after it was removed', () => {
    writeFileSync(inGuest('file'), 'kept');
    const fd = openSync(inGuest('file'), 'r+');
    unlinkSync(inGuest('file'));
    expect(existsSync(onHost('file'))).toBe(false);
    writeSync(fd, '!', 4);
    expect(fstatSync(fd)).toMatchObject({ size: 5, nlink: 0 });
    ftruncateSync(fd, 3);
    expect(readFileSync(`/proc/self/fd/${fd}`, 'utf8')).toBe('kep');
    writeFileSync(inGuest('file'), 'another'); // Of the same name, and perhaps the same inode.
    expect(fstatSync(fd).size).toBe(3);
    closeSync(fd);
    expect(readFileSync(inGuest('file'), 'utf8')).toBe('another');
  });

  it('opens as it is asked to: O_EXCL, O_APPEND, O_TRUNC, O_DIRECTORY, O_NOFOLLOW', () => {
    const { O_CREAT, O_EXCL, O_WRONLY, O_APPEND, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
    closeSync(openSync(inGuest('f'), O_CREAT | O_EXCL | O_WRONLY));
    refuses('EEXIST', () => openSync(inGuest('f'), O_CREAT | O_EXCL | O_WRONLY));
    const [one, two] = [openSync(inGuest('f'), O_WRONLY | O_APPEND), openSync(inGuest('f'), O_WRONLY | O_APPEND)];
    for (const text of ['a', 'b', 'c']) for (const fd of [one, two]) writeSync(fd, text);
    appendFileSync(onHost('f'), 'host');
    writeSync(one, '!'); // Behind what the host has appended, too.
    expect(readFileSync(onHost('f'), 'utf8')).toBe('aabbcchost!');
    closeSync(openSync(inGuest('f'), O_WRONLY | O_TRUNC));
    expect(statSync(onHost('f')).size).toBe(0);
    for (const fd of [one, two]) closeSync(fd);
    symlinkSync('f', inGuest('l'));
    refuses('ELOOP', () => openSync(inGuest('l'), O_RDONLY | O_NOFOLLOW));
    refuses('ENOTDIR', () => openSync(inGuest('f'), O_RDONLY | O_DIRECTORY));
    refuses('EISDIR', () => openSync(at.guest, O_WRONLY));
    refuses('ENOTDIR', () => openSync(inGuest('f/below'), O_RDONLY));
  });

  it('truncates, extends and keeps holes', () => {
    writeFileSync(inGuest('f'), 'abcdef');
    truncateSync(inGuest('f'), 3);
    truncateSync(inGuest('f'), 8);
    expect(readFileSync(onHost('f'))).toEqual(Buffer.from('abc\0\0\0\0\0'));
    const fd = openSync(inGuest('sparse'), 'w+');
    writeSync(fd, 'end', 64 * 1024 ** 2);
    fsyncSync(fd);
    closeSync(fd);
    expect(statSync(inGuest('sparse')).size).toBe(64 * 1024 ** 2 + 3);
    expect(statSync(inGuest('sparse')).blocks).toBeLessThan(1000);
    expect(statSync(onHost('sparse')).blocks).toBeLessThan(1000);
  });

  it('has links that are read, and followed by the guest alone', () => {
    for (const target of ['relative/path', '/etc/passwd', '../../../../..', 'x'.repeat(4000)]) {
      symlinkSync(target, inGuest('l'));
      expect(readlinkSync(inGuest('l'))).toBe(target);
      expect(readlinkSync(onHost('l'))).toBe(target);
      expect(lstatSync(inGuest('l')).isSymbolicLink()).toBe(true);
      lutimesSync(inGuest('l'), 100, 200);
      expect(lstatSync(onHost('l')).mtimeMs).toBe(200_000);
      unlinkSync(inGuest('l'));
    }
    symlinkSync('b', inGuest('a'));
    symlinkSync('a', inGuest('b'));
    refuses('ELOOP', () => readFileSync(inGuest('a')));
  });

  it('gives files to who makes them, with the modes and times that were asked for', () => {
    chmodSync(at.guest, 0o777);
    const asUser = (script: string) =>
      run(script, 'setpriv', '--reuid=1234', '--regid=2345', '--clear-groups', 'sh', '-c');
    asUser('umask 027; echo x > file; mkdir dir; ln -s file link; umask 0; echo y > open; mkdir -m 1777 sticky');
    for (const [name, mode] of Object.entries({ file: 0o640, dir: 0o750, open: 0o666, sticky: 0o1777 }))
      expect([name, statSync(onHost(name)).mode & 0o7777, statSync(onHost(name)).uid]).toEqual([name, mode, 1234]);
    expect(lstatSync(onHost('link'))).toMatchObject({ uid: 1234, gid: 2345 });
    // A directory's group is that of what is made in it.
    mkdirSync(inGuest('group'));
    chownSync(inGuest('group'), 0, 777);
    chmodSync(inGuest('group'), 0o2777);
    asUser('umask 022; mkdir group/below; echo > group/file');
    expect(statSync(onHost('group/below'))).toMatchObject({ uid: 1234, gid: 777, mode: 0o42755 });
    expect(statSync(onHost('group/file'))).toMatchObject({ uid: 1234, gid: 777 });
    // What others may not, they may not.
    chmodSync(inGuest('file'), 0o600);
    chownSync(inGuest('file'), 1, 1);
    expect(asUser('cat file')).toContain('Permission denied');
    chownSync(inGuest('link'), 5, 6);
    expect(statSync(onHost('file'))).toMatchObject({ uid: 5, gid: 6 });
    chmodSync(inGuest('file'), 0o4755);
    expect(statSync(onHost('file')).mode & 0o7777).toBe(0o4755);
    utimesSync(inGuest('file'), 1_000_000_000.25, new Date(-5000));
    expect(statSync(onHost('file'))).toMatchObject({ atimeMs: 1_000_000_000_250, mtimeMs: -5000 });
    expect(statSync(inGuest('file'))).toMatchObject({ atimeMs: 1_000_000_000_250, mtimeMs: -5000 });
  });

  it('takes names of 255 bytes, blanks, and bytes that are no UTF-8; and no longer ones', () => {
    const names = ['x'.repeat(255), ' a b\n', 'ä'.repeat(127), '\\', '*?[', '..a', '-n'];
    for (const name of names) writeFileSync(inGuest(name), name);
    const raw = Buffer.concat([Buffer.from(`${at.guest}/`), Buffer.from([0xff, 0xfe, 0x80])]);
    writeFileSync(raw, 'raw');
    mkdirSync(Buffer.concat([raw, Buffer.from('-d')]));
    expect(readdirSync(at.host).length).toBe(names.length + 2);
    expect(readdirSync(at.guest, 'buffer').map(String).sort()).toEqual(
      readdirSync(at.host, 'buffer').map(String).sort(),
    );
    expect(readFileSync(raw, 'utf8')).toBe('raw');
    unlinkSync(raw);
    for (const name of names) expect(readFileSync(inGuest(name), 'utf8')).toBe(name);
    refuses('ENAMETOOLONG', () => writeFileSync(inGuest('x'.repeat(256)), ''));
  });

  it('lists many entries, each once, also while they change', () => {
    const wanted = Array.from({ length: 5000 }, (_, index) => `entry-${index}`);
    for (const name of wanted) writeFileSync(onHost(name), '');
    expect(readdirSync(at.guest).sort()).toEqual([...wanted].sort());
    expect(run('ls -a | wc -l')).toBe('5002\n');
    expect(run('rm entry-*1 && find . -name "entry-*2" -delete')).toBe('');
    expect(readdirSync(at.host).length).toBe(4000);
    refuses('ENOTEMPTY', () => rmdirSync(at.guest));
  });

  it('tells of space, and has FIFOs and sockets, but no devices', () => {
    expect(statfsSync(at.guest).blocks).toBe(statfsSync(at.host).blocks);
    expect(run('mkfifo -m 640 pipe && { echo through > pipe & cat pipe; }')).toBe('through\n');
    expect(lstatSync(onHost('pipe')).mode & 0o170777).toBe(0o10640);
    const server = `require('net').createServer(s=>s.end('heard')).listen('sock',()=>require('net').connect('sock').on('data',d=>{console.log(String(d));process.exit()}))`;
    expect(run(server, process.execPath, '-e')).toBe('heard\n');
    expect(lstatSync(onHost('sock')).isSocket()).toBe(true);
    expect(run('mknod dev c 1 3')).toContain('not permitted');
    // Those that the host has are not opened.
    execFileSync('mknod', [onHost('null'), 'c', '1', '3']);
    refuses('EACCES', () => readFileSync(inGuest('null')));
  });

  it('maps files, and writes what was changed in the mapping', () => {
    const script = `
import mmap, os, sys
fd = os.open('file', os.O_RDWR | os.O_CREAT); os.ftruncate(fd, 8192)
m = mmap.mmap(fd, 8192); m[4096:4100] = b'dirt'; m.flush(); print(os.pread(fd, 4, 4096).decode())
m[0:2] = b'ok'; m.close(); os.close(fd)`;
    expect(run(script, ...python)).toBe('dirt\n');
    const content = readFileSync(onHost('file'));
    expect([content.length, content.toString('latin1', 4096, 4100), content.toString('latin1', 0, 2)]).toEqual([
      8192,
      'dirt',
      'ok',
    ]);
  });

  it('locks among the guest’s programs, by flock and by fcntl', () => {
    const script = `
import fcntl, os, subprocess, sys
f = open('lock', 'w+')
for lock in (fcntl.flock, fcntl.lockf):
    lock(f, fcntl.LOCK_EX)
    code = "import fcntl\\nf = open('lock', 'r+')\\ntry: fcntl.%s(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print('taken')\\nexcept OSError: print('held')" % lock.__name__
    sys.stdout.write(subprocess.check_output([sys.executable, '-c', code], text=True))
    lock(f, fcntl.LOCK_UN)
    sys.stdout.write(subprocess.check_output([sys.executable, '-c', code], text=True))`;
    expect(run(script, ...python)).toBe('held\ntaken\n'.repeat(2));
  });

  it('copies, moves and reads large files as they are', () => {
    run('head -c 20000003 /dev/urandom > a; cp a b; cat a > c; dd if=a of=d bs=7777 status=none');
    const sums = run('sha256sum a b c d').trim().split('\n');
    const real = execFileSync('sha256sum', ['a'], { cwd: at.host, encoding: 'utf8' });
    expect(new Set([...sums, real].map((line) => line.slice(0, 64))).size).toBe(1);
  });

  it.each([false, true])('tells programs what the host changes, by inotify; read-only: %s', async (readOnly) => {
    const source = mkdtempSync(join(host, 'watched-'));
    for (const name of ['old', 'gone', 'moved', 'replaced']) writeFileSync(join(source, name), 'old');
    mkdirSync(join(source, 'inner'));
    const share = { source, readOnly };
    const seen = await guest.share(share);
    expect(readdirSync(seen).length).toBe(5);
    for (const name of readdirSync(seen)) statSync(join(seen, name));
    readdirSync(join(seen, 'inner'));
    const events: string[] = [];
    const watchers = ['.', 'inner'].map((name) =>
      watch(join(seen, name), (event, changed) => void events.push(`${event} ${join(name, changed ?? '')}`)),
    );
    const told = (...wanted: string[]): Promise<void> =>
      until(() => wanted.every((event) => events.includes(event)), `${wanted} among ${events}`);
    const mtime = new Date(1_500_000_000_000);
    const steps: [act: () => void, ...wanted: string[]][] = [
      [() => writeFileSync(join(source, 'new'), 'new'), 'rename new'],
      [() => mkdirSync(join(source, 'directory')), 'rename directory'],
      [() => symlinkSync('new', join(source, 'link')), 'rename link'],
      [() => writeFileSync(join(source, 'inner/deep'), ''), 'rename inner/deep'],
      [() => appendFileSync(join(source, 'old'), '+'), 'change old'],
      [() => unlinkSync(join(source, 'gone')), 'rename gone'],
      [() => renameSync(join(source, 'moved'), join(source, 'to')), 'rename moved', 'rename to'],
      [() => writeFileSync(join(source, 'tmp'), 'another'), 'rename tmp'],
      [() => renameSync(join(source, 'tmp'), join(source, 'replaced')), 'rename replaced'],
      [() => rmdirSync(join(source, 'directory')), 'rename directory'],
      [() => utimesSync(join(source, 'new'), mtime, mtime), 'change new'],
    ];
    for (const [act, ...wanted] of steps) {
      events.length = 0;
      act();
      await told(...wanted);
    }
    // It is seen, too; and what was told has changed nothing here.
    expect(readdirSync(seen).sort()).toEqual(readdirSync(source).sort());
    expect(['old', 'to', 'replaced', 'new'].map((name) => readFileSync(join(seen, name), 'utf8'))).toEqual([
      'old+',
      'old',
      'another',
      'new',
    ]);
    expect(['old', 'to', 'replaced', 'new'].map((name) => readFileSync(join(source, name), 'utf8'))).toEqual([
      'old+',
      'old',
      'another',
      'new',
    ]);
    expect(statSync(join(source, 'new')).mtimeMs).toBe(mtime.getTime());
    expect(existsSync(join(seen, 'gone'))).toBe(false);
    if (!readOnly) {
      // What the guest does itself is not told twice.
      writeFileSync(join(seen, 'own'), 'x');
      await told('rename own');
      events.length = 0;
      unlinkSync(join(seen, 'own'));
      writeFileSync(join(source, 'mark'), '');
      await told('rename mark');
      expect(events.filter((event) => event === 'rename own').length).toBe(1);
    }
    for (const watcher of watchers) watcher.close();
    guest.unshare(share);
  });

  it.each(['git', 'sqlite3'])('is good enough for %s', (program) => {
    if (spawnSync(program, ['--version']).error !== undefined) return console.log(`${program} is not installed`);
    const scripts: Record<string, string> = {
      git: `git init -q -b main a && cd a && git config user.email a@b && git config user.name n && seq 1000 > f && git add . && git commit -qm one &&
        cd .. && git clone -q a b && cd b && git status --porcelain && git fsck --strict && touch f && git status --porcelain && echo done`,
      sqlite3: `sqlite3 db 'pragma journal_mode=wal; create table t(a); with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into t select i from n;' &&
        sqlite3 db 'pragma journal_mode=delete; update t set a=a+1; vacuum; pragma integrity_check; select sum(a) from t;' && echo done`,
    };
    expect(run(scripts[program]!)).toMatch(program === 'git' ? /^done\n$/ : /^wal\ndelete\nok\n2003000\ndone\n$/);
  });
});
