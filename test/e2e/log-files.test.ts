// The log of a container as files: rotation, reading over it, drivers and options that are refused.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('the log', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const create = (name: string, options: string[], script: string): Promise<string> =>
    ok('create', '--name', name, '--network', 'none', ...options, 'box', 'sh', '-c', script);
  const finish = async (name: string): Promise<void> => {
    await ok('start', name);
    await ok('wait', name);
  };
  const files = (id: string): string[] =>
    readdirSync(join(here.dataRoot, 'containers', id))
      .filter((file) => file.startsWith('output.log'))
      .toSorted();
  const numbers = (from: number, to: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, index) => String(from + index));

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  const rotating = ['--log-opt', 'max-size=64k', '--log-opt', 'max-file=3'];

  it('is rotated by size, keeps so many files, and is read over all of them', async () => {
    const pad = 'x'.repeat(100);
    const id = await create('turner', rotating, `i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo ${pad} $i; done`);
    await finish('turner');
    expect(files(id)).toEqual(['output.log', 'output.log.1', 'output.log.2']);
    for (const file of files(id))
      expect(statSync(join(here.dataRoot, 'containers', id, file)).size).toBeLessThanOrEqual(64_000);
    const lines = (await ok('logs', 'turner')).split('\n').map((line) => line.slice(pad.length + 1));
    // The oldest went; what is there has no gap and no line twice.
    expect(lines.length).toBeGreaterThan(1000);
    expect(lines.length).toBeLessThan(3000);
    // The first may have lost its beginning to a rotation.
    const others = lines.slice(1);
    expect(others).toEqual(numbers(Number(others[0]), 3000));
    expect((await ok('logs', '--tail', '900', 'turner')).split('\n').map((line) => line.slice(pad.length + 1))).toEqual(
      numbers(2101, 3000),
    );
    expect(await ok('logs', '-n', '0', 'turner')).toBe('');
    await ok('rm', 'turner');
  });

  it('is followed over rotations without a gap', async () => {
    const script = 'i=0; while [ $i -lt 900 ]; do i=$((i+1)); echo $i; [ $((i % 30)) = 0 ] && sleep 0.02; done; true';
    await create('runner', ['--log-opt', 'max-size=2k', '--log-opt', 'max-file=20'], script);
    await ok('start', 'runner');
    expect(await ok('logs', '-f', 'runner')).toBe(numbers(1, 900).join('\n'));
    await ok('rm', '-f', 'runner');
  });

  it('is compressed where it was rotated away, and is read as before', async () => {
    const compressed = ['max-size=200k', 'max-file=40', 'compress=true'].flatMap((option) => ['--log-opt', option]);
    // What repeats, what does not, runs longer than a match, lines beyond the window, and bytes of every kind.
    const script = `i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo "line $i of many, with words that repeat"; done
      head -c 700000 /dev/urandom; head -c 500000 /dev/zero; cat /bin/busybox | head -c 1500000; echo
      i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo "$i again"; done`;
    const id = await create('packed', compressed, `{ ${script}; } | tee /all`);
    await finish('packed');
    const names = files(id);
    expect(names.length).toBeGreaterThan(12);
    expect(names.filter((name) => !name.endsWith('.gz'))).toEqual(['output.log']);
    let packed = 0;
    for (const name of names.slice(1)) {
      const path = join(here.dataRoot, 'containers', id, name);
      execFileSync('gzip', ['-t', path]);
      packed += statSync(path).size;
      expect(gunzipSync(readFileSync(path)).length).toBeLessThanOrEqual(200_000);
    }
    expect(packed).toBeLessThan(1_900_000);
    const all = join(here.dataRoot, 'all');
    await ok('cp', 'packed:/all', all);
    const shown = await buffer(here.start('logs', 'packed').stdout!);
    expect(shown.equals(readFileSync(all))).toBe(true);
    expect((await ok('logs', '--tail', '1500', 'packed')).split('\n')).toEqual(
      numbers(501, 2000).map((number) => `${number} again`),
    );
    await ok('rm', 'packed');
  });

  it('is followed over rotations that are compressed, and goes on in a second life', async () => {
    const script = 'i=0; while [ $i -lt 900 ]; do i=$((i+1)); echo $i; [ $((i % 30)) = 0 ] && sleep 0.02; done; true';
    const options = ['max-size=2k', 'max-file=50', 'compress=true'].flatMap((option) => ['--log-opt', option]);
    const id = await create('packer', options, script);
    await ok('start', 'packer');
    expect(await ok('logs', '-f', 'packer')).toBe(numbers(1, 900).join('\n'));
    await finish('packer');
    expect(await ok('logs', 'packer')).toBe([...numbers(1, 900), ...numbers(1, 900)].join('\n'));
    expect(files(id).filter((name) => !name.endsWith('.gz'))).toEqual(['output.log']);
    await ok('rm', 'packer');
  });

  it('counts lines, however they were written', async () => {
    await create(
      'stutterer',
      [],
      'printf "first "; sleep 0.05; printf "line\\nsecond "; sleep 0.05; echo line; head -c 100000 /dev/zero | tr "\\0" x; echo',
    );
    await finish('stutterer');
    expect(await ok('logs', '--tail', '2', 'stutterer')).toBe(`second line\n${'x'.repeat(100_000)}`);
    const stamped = (await ok('logs', '-t', 'stutterer')).split('\n');
    expect(stamped).toHaveLength(3);
    expect(stamped.slice(0, 2).map((line) => line.replace(/^\S+/, 'T'))).toEqual(['T first line', 'T second line']);
    expect(stamped[2]!.match(/\d{4}-\d\d-\d\dT/g)).toHaveLength(1);
    await ok('rm', 'stutterer');
  });

  it('has details where they are asked for: labels, variables, a tag', async () => {
    const options = ['labels=role,none', 'env-regex=^APP_', 'tag={{.Name}}/{{.ImageName}}'].flatMap((option) => [
      '--log-opt',
      option,
    ]);
    await create(
      'detailed',
      [...options, '-l', 'role=a b', '-l', 'other=x', '-e', 'APP_MODE=fast', '-e', 'SECRET=y'],
      'printf "one\\ntw"; sleep 0.05; echo o',
    );
    await finish('detailed');
    const details = 'APP_MODE=fast,role=a+b,tag=detailed%2Fbox%3Alatest'.replace('%3Alatest', '');
    expect(await ok('logs', '--details', 'detailed')).toBe(`${details} one\n${details} two`);
    expect(await ok('logs', 'detailed')).toBe('one\ntwo');
    expect((await ok('logs', '--details', '-t', 'detailed')).split('\n')[0]).toMatch(/^\d{4}-\S+Z APP_MODE=\S+ one$/);
    await ok('rm', 'detailed');
  });

  it('can be had from one moment to another, to the nanosecond', async () => {
    await create('ticker', [], 'for i in 1 2 3 4 5; do echo $i; sleep 0.02; done');
    await finish('ticker');
    const [first = '', second = '', third = '', ...rest] = (await ok('logs', '-t', 'ticker'))
      .split('\n')
      .map((line) => line.split(' ')[0]!);
    expect(rest).toHaveLength(2);
    const seconds = (stamp: string): string => `${Date.parse(`${stamp.slice(0, 19)}Z`) / 1000}.${stamp.slice(20, 29)}`;
    expect(await ok('logs', '--since', second, '--until', third, 'ticker')).toBe('2\n3');
    expect(await ok('logs', '--since', seconds(second), '--until', seconds(third), 'ticker')).toBe('2\n3');
    expect(await ok('logs', '--until', first, 'ticker')).toBe('1');
    expect(await ok('logs', '--since', '1h', '--tail', '2', 'ticker')).toBe('4\n5');
    expect(await ok('logs', '--until', '1h', 'ticker')).toBe('');
    await ok('rm', 'ticker');
  });

  it('of many who write at once has every line, once', async () => {
    const names = Array.from({ length: 6 }, (_, index) => `writer${index}`);
    const script = 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i; done';
    await Promise.all(
      names.map((name) => ok('run', '-d', '--name', name, '--network', 'none', 'box', 'sh', '-c', script)),
    );
    const followed = await Promise.all(names.map((name) => ok('logs', '-f', name)));
    for (const text of followed) expect(text).toBe(numbers(1, 2000).join('\n'));
    await ok('rm', '-f', ...names);
  });

  it('is kept by "local", in files that are limited from the start', async () => {
    const id = await create('local', ['--log-driver', 'local'], 'echo kept');
    await finish('local');
    expect(await ok('logs', 'local')).toBe('kept');
    expect(await ok('inspect', '-f', '{{.HostConfig.LogConfig.Type}}', 'local')).toBe('local');
    const { stdout } = await gantry('plan', '--log-driver', 'local', 'box', 'true');
    expect(stdout).toMatch(/ log\(.*, 20000000, 5\)\n.* log_compress\(\)/);
    const plain = await gantry('plan', '--log-driver', 'local', '--log-opt', 'compress=false', 'box', 'true');
    expect(plain.stdout).not.toContain('log_compress');
    expect(files(id)).toEqual(['output.log']);
    await ok('rm', 'local');
  });

  it('is not kept by "none", and that is said', async () => {
    const id = await create('silent', ['--log-driver', 'none'], 'echo unheard');
    await finish('silent');
    expect(files(id)).toEqual([]);
    const { status, stderr } = await gantry('logs', 'silent');
    expect([status, stderr]).toEqual([1, expect.stringContaining('does not support reading')]);
    expect(await ok('start', '-a', 'silent')).toBe('unheard');
    await ok('rm', 'silent');
  });

  it('without blocking is whole where the disk keeps up, over rotations too', async () => {
    const loose = ['--log-opt', 'mode=non-blocking', '--log-opt', 'max-buffer-size=4m'];
    const script = `i=0; while [ $i -lt 1200 ]; do i=$((i+1)); echo ${'x'.repeat(100)} $i; done`;
    const id = await create('loose', [...rotating, ...loose], script);
    await finish('loose');
    expect(files(id).length).toBeGreaterThan(1);
    expect((await ok('logs', 'loose')).replaceAll(/x+ /g, '').split('\n')).toEqual(numbers(1, 1200));
    const { LogConfig } = JSON.parse(await ok('inspect', '-f', '{{json .HostConfig}}', 'loose')) as {
      LogConfig: { Config: object };
    };
    expect(LogConfig.Config).toMatchObject({ mode: 'non-blocking', 'max-buffer-size': '4m' });
    await ok('rm', 'loose');
  });

  it('that nobody takes holds the container up, or is dropped without blocking', async () => {
    const SIZE = 3_000_000;
    const script = `head -c ${SIZE} /dev/zero`;
    // In place of the file a pipe that nobody reads yet: a disk that has stopped.
    const stuck = async (name: string, options: string[]): Promise<number> => {
      const path = join(here.dataRoot, 'containers', await create(name, options, script), 'output.log');
      execFileSync('mkfifo', [path]);
      return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    };
    const held = await stuck('held', []);
    const loose = await stuck('dropped', ['--log-opt', 'mode=non-blocking', '--log-opt', 'max-buffer-size=100k']);
    await ok('start', 'held');
    await ok('start', 'dropped');
    expect(await ok('wait', 'dropped')).toBe('0');
    expect(await ok('inspect', '-f', '{{.State.Status}}', 'held')).toBe('running');
    const taken = takenFrom(loose);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(SIZE / 2);
    let all = 0;
    await until(async () => {
      all += takenFrom(held);
      return (await ok('inspect', '-f', '{{.State.Status}}', 'held')) === 'exited';
    });
    expect(all + takenFrom(held)).toBeGreaterThan(SIZE);
    for (const fd of [held, loose]) closeSync(fd);
    await ok('rm', 'held', 'dropped');
  });

  it('of a container that is removed while it is followed ends', async () => {
    await create('mayfly', [], 'echo alive; sleep 1000');
    await ok('start', 'mayfly');
    const following = gantry('logs', '-f', 'mayfly');
    await until(async () => (await ok('logs', 'mayfly')) === 'alive', 'a line');
    await ok('rm', '-f', 'mayfly');
    expect(await following).toEqual({ status: 0, stdout: 'alive\n', stderr: '' });
  });

  it.each([
    [
      ['--log-driver', 'syslog'],
      'Cannot log with the driver "syslog": not supported\nHint: json-file, local and none are',
    ],
    [['--log-opt', 'colour=red'], "Unknown log opt 'colour' for json-file log driver"],
    [['--log-driver', 'local', '--log-opt', 'tag=x'], "Unknown log opt 'tag' for local log driver"],
    [['--log-opt', 'tag={{.Nothing}}'], 'Cannot read the log option tag: "{{.Nothing}}" is not known'],
    [['--log-opt', 'compress=true'], 'compress cannot be true when max-file is less than 2 or max-size is not set'],
    [
      ['--log-opt', 'compress=true', '--log-opt', 'max-size=1m'],
      'compress cannot be true when max-file is less than 2',
    ],
    [['--log-driver', 'local', '--log-opt', 'max-file=1'], 'compress cannot be true when max-file is less than 2'],
    [['--log-opt', 'compress=perhaps'], 'Cannot read the log option compress "perhaps"'],
    [['--log-opt', 'mode=sometimes'], 'Cannot read the log option mode "sometimes"'],
    [['--log-opt', 'max-buffer-size=1m'], "max-buffer-size is only supported with 'mode=non-blocking'"],
    [
      ['--log-opt', 'mode=non-blocking', '--log-opt', 'max-buffer-size=lots'],
      'Cannot read the log option max-buffer-size "lots"',
    ],
    [['--log-opt', 'max-size=much'], 'Cannot read the log option max-size "much"'],
    [['--log-opt', 'max-size=0'], 'Cannot read the log option max-size "0"'],
    [
      ['--log-opt', 'max-size=1m', '--log-opt', 'max-file=0'],
      'Cannot read the log option max-file "0": it must be 1 or more',
    ],
  ] as [string[], string][])('is refused with %j', async (options, message) => {
    const before = await ok('ps', '-aq');
    const { status, stderr } = await gantry('create', ...options, 'box', 'true');
    expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
    expect(await ok('ps', '-aq')).toBe(before);
  });
});

/** Bytes that wait in a pipe. */
function takenFrom(fd: number): number {
  const chunk = Buffer.alloc(1 << 16);
  let taken = 0;
  for (;;) {
    try {
      taken += readSync(fd, chunk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return taken;
      throw error;
    }
  }
}
