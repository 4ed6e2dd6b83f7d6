// What tidies up: container, image, volume and system prune; and what tells where an image comes from: history.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('prune', () => {
  const here = createInstallation();
  const { gantry, ok, pipe } = here;
  const tree = busyboxTree();
  const make = (...args: string[]): Promise<string> => ok('run', '-d', '--network', 'none', ...args);
  const lines = async (...args: string[]): Promise<string[]> => (await ok(...args)).split('\n').filter(Boolean);

  beforeAll(async () => {
    await ok('load', '-i', makeArchive(tree, 'box:1'));
  });
  afterAll(async () => {
    await here.close();
    rmSync(tree, { recursive: true });
  });

  it('removes containers that do not run, and says how much they held', async () => {
    const kept = await make('--name', 'kept', 'box:1', 'sleep', '60');
    await ok('create', '--name', 'fresh', 'box:1');
    const done = await make('--label', 'go=1', 'box:1', 'dd', 'if=/dev/zero', 'of=/file', 'bs=1M', 'count=3');
    await ok('wait', done);
    expect((await ok('container', 'prune', '-f', '--filter', 'label=go')).split('\n')).toEqual([
      'Deleted Containers:',
      done,
      '',
      expect.stringMatching(/^Total reclaimed space: 3\.\d+MB$/),
    ]);
    expect(await lines('ps', '-a', '--format', '{{.Names}}')).toEqual(['fresh', 'kept']);
    await ok('container', 'prune', '-f');
    expect(await lines('ps', '-aq', '--no-trunc')).toEqual([kept]);
    expect((await gantry('container', 'prune', '-f', '--filter', 'name=x')).stderr).toContain("Invalid filter 'name'");
  });

  it('asks first', async () => {
    const done = await make('box:1', 'true');
    await ok('wait', done);
    for (const answer of ['', 'n\n', 'nonsense\n'])
      expect(await pipe(answer, 'container', 'prune')).toMatchObject({
        status: 1,
        stdout: expect.stringContaining('Are you sure you want to continue? [y/N]'),
        stderr: 'Nothing was removed\n',
      });
    expect(await lines('ps', '-aq', '--no-trunc')).toContain(done);
    expect(await pipe('y\n', 'container', 'prune')).toMatchObject({ status: 0, stdout: expect.stringContaining(done) });
    expect(await lines('ps', '-aq', '--no-trunc')).not.toContain(done);
  });

  it('removes images without a name, with -a every unused one, and none in use', async () => {
    const other = busyboxTree();
    const id = await ok('inspect', '-f', '{{.Id}}', 'box:1');
    await ok('load', '-i', makeArchive(other, 'loose:1', { config: { Labels: { version: '1' } } }));
    const loose = await ok('inspect', '-f', '{{.Id}}', 'loose:1');
    // The name goes to another image.
    await ok('load', '-i', makeArchive(other, 'loose:1', { config: { Labels: { version: '2' } } }));
    rmSync(other, { recursive: true });
    const pruned = await ok('image', 'prune', '-f');
    expect(pruned).toContain(`deleted: ${loose}`);
    expect(pruned).toContain('Total reclaimed space: 0B'); // Its layer is the other's, too.
    expect(await lines('images', '--format', '{{.Repository}}')).toEqual(expect.arrayContaining(['box', 'loose']));
    expect(await ok('image', 'prune', '-af')).toMatch(/untagged: loose:1\n.*Total reclaimed space: [1-9.]+MB/s);
    expect(await lines('images', '--no-trunc', '-q')).toEqual([id]); // "kept" runs from it.
  });

  it('removes volumes that no container has', async () => {
    await ok('volume', 'create', 'named');
    await ok(
      'run',
      '--network',
      'none',
      '--name',
      'user',
      '-v',
      '/data',
      '-v',
      'used:/used',
      'box:1',
      'touch',
      '/data/x',
    );
    await ok('volume', 'prune', '-f');
    expect(await lines('volume', 'ls', '-q')).toHaveLength(3);
    await ok('rm', 'user');
    expect(await ok('volume', 'prune', '-f')).toMatch(
      /^Deleted Volumes:\n[0-9a-f]{64}\n\nTotal reclaimed space: \S+B$/,
    );
    expect(await lines('volume', 'ls', '-q')).toEqual(['named', 'used']);
    await ok('volume', 'prune', '-af');
    expect(await lines('volume', 'ls', '-q')).toEqual([]);
  });

  it('system prune takes all kinds, and asks first', async () => {
    const context = mkdtempSync(join(tmpdir(), 'gantry-prune-'));
    writeFileSync(join(context, 'Dockerfile'), 'FROM box:1\nRUN echo built > /built\n');
    await ok('build', '-q', context);
    rmSync(context, { recursive: true });
    const [, size = ''] = /^Build Cache +1 +0 +(\S+) /m.exec(await ok('system', 'df')) ?? [];
    expect(size).toBe('0B'); // An image without a name has it still.
    expect(await ok('system', 'df', '-v')).toMatch(/^CACHE ID +CACHE TYPE .*\n\w{12} +regular +6B .* true$/m);
    const done = await make('box:1', 'true');
    await ok('wait', done);
    await ok('volume', 'create', 'named');
    await ok('network', 'create', 'lonely');
    expect(await pipe('n\n', 'system', 'prune')).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/containers[\s\S]*networks[\s\S]*without a name[\s\S]*build/),
    });
    expect(await lines('ps', '-aq', '--no-trunc')).toContain(done);
    const said = await ok('system', 'prune', '-f', '--volumes');
    expect(said).toMatch(
      new RegExp(
        `^Deleted Containers:\n${done}\n\nDeleted Networks:\nlonely\n\nDeleted Images:\ndeleted: sha256:\\w+\n\n` +
          'Deleted build cache objects:\n\\w+\n\nTotal reclaimed space: [1-9]',
      ),
    );
    expect(await lines('volume', 'ls', '-q')).toEqual(['named']);
    expect(await lines('images', '--format', '{{.Repository}}')).toEqual(['box']);
    expect(await ok('system', 'df')).toMatch(/^Build Cache +0 +0 +0B +0B$/m);
    await ok('volume', 'rm', 'named');
  });

  it('history has the steps with their sizes', async () => {
    const [head, step, ...rest] = await lines('history', 'box:1');
    expect(head).toMatch(/^IMAGE +CREATED +CREATED BY +SIZE +COMMENT$/);
    expect(step).toMatch(/^[0-9a-f]{12} +\d+ \w+ ago +test +[1-9.]+MB$/);
    expect(rest).toEqual([]);
    expect(await ok('image', 'history', '-q', '--no-trunc', 'box:1')).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await gantry('history', 'nope')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('No such image'),
    });
  });
});

describe('commands', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  afterAll(() => here.close());

  it.each([
    [['rn'], 'Unknown command "rn"\nHint: Did you mean "gantry run" or "gantry rm"\n', 1],
    [['volume', 'l'], 'Unknown command "volume l"\nHint: Did you mean "gantry volume ls"\n', 1],
    [['container', 'pull', 'x'], 'Unknown command "container pull"\nHint: ', 1],
    [['buildx', 'build', '.'], 'There is no "gantry buildx"\nHint: Build with "gantry build"', 1],
    [['constructor'], 'Unknown command "constructor"\nHint: ', 1],
    [['-X', 'ps'], "Unknown shorthand flag: 'X' in -X\nHint: ", 125],
    [['-H'], 'Flag needs an argument: -H\nHint: ', 125],
  ] as [string[], string, number][])('%s is told apart', async (args, message, wanted) => {
    const { status, stderr } = await gantry(...args);
    expect(stderr).toContain(`gantry: ${message}`);
    expect(status).toBe(wanted);
  });

  it('groups list their members', async () => {
    for (const words of [['container'], ['container', '--help'], ['help', 'container']])
      expect(await ok(...words)).toMatch(/^ {2}ls +List containers\n(.*\n)* {2}prune +Remove all stopped containers$/m);
  });
});
