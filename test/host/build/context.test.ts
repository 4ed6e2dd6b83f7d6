// What is sent of a directory: read back with GNU tar.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BuildContext, openContext } from '../../../host/cli/build/context.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'gantry-context-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function file(path: string, content: string | Buffer = path): string {
  const place = join(root, path);
  mkdirSync(join(place, '..'), { recursive: true });
  writeFileSync(place, content);
  return place;
}

const open = (given: string, dockerfile?: string, stdin: Buffer | string = ''): Promise<BuildContext> =>
  openContext(given, dockerfile, Readable.from(stdin.length === 0 ? [] : [Buffer.from(stdin)]), () => {});

async function bytes({ tar }: BuildContext): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar!) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Names in the archive, as tar lists them. */
async function names(context: BuildContext): Promise<string[]> {
  const { stdout, stderr, status } = spawnSync('tar', ['-t'], { input: await bytes(context), encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter(Boolean);
}

describe('a directory', () => {
  it('is sent with modes, times and links, as root’s', async () => {
    file('Dockerfile');
    chmodSync(file('bin/run', '#!/bin/sh\n'), 0o4755);
    utimesSync(file('old'), 1000, 1000);
    linkSync(join(root, 'old'), join(root, 'same'));
    symlinkSync('/etc/passwd', join(root, 'out'));
    symlinkSync('bin', join(root, 'inner'));
    spawnSync('mkfifo', [join(root, 'pipe')]);
    file('empty', '');
    file('ünï code');
    file(`${'long/'.repeat(60)}name`);
    file('large', Buffer.alloc(3 << 20, 7));
    const input = await bytes(await open(root));
    const list = spawnSync('tar', ['-tv', '--numeric-owner', '--full-time'], {
      input,
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    });
    expect(list.stderr).toBe('');
    const row = (name: string): string => list.stdout.split('\n').find((line) => line.includes(` ${name}`))!;
    expect(row('bin/run')).toMatch(/^-rwsr-xr-x 0\/0 /);
    expect(row('old')).toMatch(/ 1970-01-01 00:16:40/);
    expect(row('same')).toMatch(/^-rw/);
    expect(row('out -> /etc/passwd')).toMatch(/^l/);
    expect(row('inner -> bin')).toMatch(/^l/);
    expect(row('pipe')).toMatch(/^p/);
    expect(row('large')).toMatch(new RegExp(` ${3 << 20} `));
    const there = mkdtempSync(join(tmpdir(), 'gantry-context-'));
    spawnSync('tar', ['-x', '-C', there], { input });
    for (const name of ['ünï code', `${'long/'.repeat(60)}name`, 'large', 'empty'])
      expect(readFileSync(join(there, name)).equals(readFileSync(join(root, name))), name).toBe(true);
    rmSync(there, { recursive: true });
  });

  it('leaves out what .dockerignore says, and walks where something may be kept', async () => {
    file('.dockerignore', 'node_modules\n*.log\nsecret\n!secret/keep\n');
    file('Dockerfile');
    for (const path of ['a.log', 'b/a.log', 'node_modules/x/y', 'secret/key', 'secret/keep/z', 'src/main']) file(path);
    expect(await names(await open(root))).toEqual([
      ...['.dockerignore', 'Dockerfile', 'b/', 'b/a.log'],
      ...['secret/', 'secret/keep/', 'secret/keep/z', 'src/', 'src/main'],
    ]);
  });

  it('has an ignore file for each Dockerfile', async () => {
    file('.dockerignore', 'a');
    file('x/Other.dockerignore', 'b');
    const other = file('x/Other');
    for (const path of ['Dockerfile', 'a', 'b']) file(path);
    expect(await names(await open(root))).not.toContain('a');
    const context = await open(root, other);
    expect(context.dockerfile).toBe('x/Other');
    expect(await names(context)).toEqual(['.dockerignore', 'Dockerfile', 'a', 'x/', 'x/Other', 'x/Other.dockerignore']);
  });

  it('sends a Dockerfile that is ignored, outside, or stdin beside the files', async () => {
    file('.dockerignore', 'Dockerfile');
    file('Dockerfile', 'FROM a');
    file('x');
    const ignored = await open(root);
    expect(ignored).toMatchObject({ outside: { name: 'Dockerfile', text: 'FROM a' } });
    expect(await names(ignored)).toEqual(['.dockerignore', 'x']);
    const elsewhere = mkdtempSync(join(tmpdir(), 'gantry-context-'));
    writeFileSync(join(elsewhere, 'F'), 'FROM b');
    expect(await open(root, join(elsewhere, 'F'))).toMatchObject({ outside: { name: 'F', text: 'FROM b' } });
    rmSync(elsewhere, { recursive: true });
    expect(await open(root, '-', 'FROM c')).toMatchObject({ outside: { name: '-', text: 'FROM c' } });
  });

  it('may call it dockerfile', async () => {
    file('dockerfile');
    expect((await open(root)).dockerfile).toBe('dockerfile');
  });

  it('tells how far it has come', async () => {
    file('Dockerfile', Buffer.alloc(100_000));
    const told: number[] = [];
    const context = await openContext(root, undefined, Readable.from([]), (count) => told.push(count));
    const { length } = await bytes(context);
    expect(told.at(-1)).toBe(length);
    expect(told).toEqual([...told].sort((a, b) => a - b));
  });

  it('without sockets', async () => {
    file('Dockerfile');
    const server = createServer().listen(join(root, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await names(await open(root))).toEqual(['Dockerfile']);
    await new Promise((resolve) => server.close(resolve));
  });

  it('a file that shrinks meanwhile is an error', async () => {
    file('Dockerfile');
    const place = file('b');
    truncateSync(place, 256 << 20);
    const context = await open(root);
    let size = 0;
    const read = async (): Promise<void> => {
      for await (const chunk of context.tar!) {
        size += chunk.length;
        if (size > 1 << 20) truncateSync(place, 10);
      }
    };
    await expect(read()).rejects.toThrow(/build context|Size mismatch/);
  });
});

describe('refused:', () => {
  it.each<[string, string | undefined, RegExp]>([
    ['/no/such/directory', undefined, /path "\/no\/such\/directory" not found/],
    ['.', 'no-such-file', /Failed to read dockerfile: open no-such-file: no such file or directory/],
    ['-', '-', /can't use stdin for both build context and dockerfile/],
    ['-', undefined, /stdin: it is empty/],
    ['git@github.com:a/b', undefined, /git repositories are not fetched/],
    ['https://github.com/a/b.git#main', undefined, /git repositories are not fetched/],
    ['github.com/a/b', undefined, /git repositories are not fetched/],
  ])('%s -f %s', async (given, dockerfile, reason) => {
    await expect(open(given, dockerfile)).rejects.toThrow(reason);
  });

  it('a file in place of a directory', async () => {
    await expect(open(file('Dockerfile'))).rejects.toThrow(/is not a directory/);
  });

  it('an ignore file that cannot be read', async () => {
    file('Dockerfile');
    file('.dockerignore', 'a\n[\n');
    await expect(open(root)).rejects.toThrow(/line 2: syntax error in pattern "\["/);
  });
});

describe('stdin', () => {
  it('is a Dockerfile, or an archive by what it begins with', async () => {
    file('Dockerfile');
    const tar = await bytes(await open(root));
    for (const archive of [tar, gzipSync(tar)]) {
      const context = await open('-', 'x/F', archive);
      expect(context).toMatchObject({ dockerfile: 'x/F' });
      expect((await bytes(context)).equals(archive)).toBe(true);
    }
    const old = spawnSync('tar', ['-c', '--format=v7', '-C', root, 'Dockerfile']).stdout;
    expect((await bytes(await open('-', undefined, old))).equals(old)).toBe(true);
    expect(await open('-', undefined, 'FROM a\n')).toEqual({ outside: { name: '-', text: 'FROM a\n' } });
    const long = `FROM a\n${'RUN x\n'.repeat(1000)}`;
    expect(await open('-', undefined, long)).toEqual({ outside: { name: '-', text: long } });
    await expect(open('-', 'F', 'FROM a\n')).rejects.toThrow(/it is no archive/);
  });
});

it('an address is fetched by the engine', async () => {
  expect(await open('https://example.com/x.tar.gz', 'F')).toEqual({
    remote: 'https://example.com/x.tar.gz',
    dockerfile: 'F',
  });
  expect(await open('http://example.com/Dockerfile')).toEqual({ remote: 'http://example.com/Dockerfile' });
});
