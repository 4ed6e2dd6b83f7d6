// Mounts made after the start travel between host and container as the bind's propagation says, and not at all without a word.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, processesOf } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const run = (...command: [string, ...string[]]): string =>
  execFileSync(command[0], command.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

describe.skipIf(whyNoContainers())('propagation of a bind', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const source = mkdtempSync(join(tmpdir(), 'gantry-propagation-'));
  const start = (...flags: string[]): Promise<string> =>
    ok('run', '-d', '--name', 'bound', '--privileged', '--network', 'none', ...flags, 'box', 'sleep', '1000');
  const mountInside = (): Promise<string> =>
    ok('exec', '--privileged', 'bound', 'sh', '-c', 'mount -t tmpfs inside /bound/c && touch /bound/c/from-container');
  const mountOutside = (): void => {
    run('mount', '-t', 'tmpfs', 'outside', join(source, 'h'));
    writeFileSync(join(source, 'h/from-host'), '');
  };
  const seenInside = async (): Promise<boolean> =>
    (await gantry('exec', 'bound', 'test', '-e', '/bound/h/from-host')).status === 0;
  const seenOutside = (): boolean => existsSync(join(source, 'c/from-container'));

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    rmSync(tree, { recursive: true });
    rmSync(archive);
  });

  // Each test has a mount of its own to share, so that nothing of the machine is made shared.
  beforeEach(() => {
    run('mount', '-t', 'tmpfs', 'gantry-test', source);
    run('mount', '--make-shared', source);
    for (const name of ['h', 'c']) mkdirSync(join(source, name));
  });

  afterEach(async () => {
    await gantry('rm', '-f', 'bound');
    run('umount', '-R', source);
  });

  afterAll(async () => {
    await here.close();
    rmdirSync(source);
    expect(processesOf(here.dataRoot)).toEqual([]);
  });

  it.each([
    ['-v SOURCE:TARGET:rshared', ['-v', `${source}:/bound:rshared`]],
    ['--mount bind-propagation=rshared', ['--mount', `type=bind,src=${source},dst=/bound,bind-propagation=rshared`]],
    ['-v SOURCE:TARGET:shared', ['-v', `${source}:/bound:shared`]],
    ['rshared with mapped ids', ['--userns', 'auto', '-v', `${source}:/bound:rshared`]],
  ])('%s goes both ways', async (_name, flags) => {
    await start(...flags);
    mountOutside();
    expect(await seenInside()).toBe(true);
    await mountInside();
    expect(seenOutside()).toBe(true);
    run('umount', join(source, 'c'));
    expect((await gantry('exec', 'bound', 'test', '-e', '/bound/c/from-container')).status).not.toBe(0);
  });

  it.each([
    ['rslave', ['-v', `${source}:/bound:rslave`]],
    ['rslave with mapped ids', ['--userns', 'auto', '-v', `${source}:/bound:rslave`]],
  ])('%s goes from the host to the container only', async (_name, flags) => {
    await start(...flags);
    mountOutside();
    expect(await seenInside()).toBe(true);
    await mountInside();
    expect(seenOutside()).toBe(false);
  });

  it.each([
    ['no word', ['-v', `${source}:/bound`]],
    ['rprivate', ['-v', `${source}:/bound:rprivate`]],
    ['no word, with mapped ids', ['--userns', 'auto', '-v', `${source}:/bound`]],
  ])('%s goes nowhere', async (_name, flags) => {
    await start(...flags);
    mountOutside();
    expect(await seenInside()).toBe(false);
    await mountInside();
    expect(seenOutside()).toBe(false);
  });

  it.each([
    ['mounts below it, too', 'readonly', '0', 1],
    ['itself only, where that is asked for', 'readonly,bind-recursive=writable', '0', 0],
    ['itself only, with mapped ids', 'readonly,bind-recursive=writable', 'auto', 0],
  ])('is read-only: %s', async (_name, words, ids, status) => {
    mountOutside();
    const bind = [
      '--mount',
      `type=bind,src=${source},dst=/bound,${words}`,
      ...(ids === 'auto' ? ['--userns', ids] : []),
    ];
    await start(...bind);
    run('chmod', '1777', join(source, 'h'));
    expect((await gantry('exec', 'bound', 'touch', '/bound/x')).stderr).toContain('Read-only file system');
    const below = await gantry('exec', 'bound', 'touch', '/bound/h/x');
    expect([below.status, below.stderr.includes('Read-only')]).toEqual([status, status === 1]);
  });

  it('is refused where the mount of the source is not shared', async () => {
    run('mount', '--make-private', source);
    for (const word of ['rshared', 'rslave']) {
      const { status, stderr } = await gantry(
        'run',
        '--rm',
        '--network',
        'none',
        '-v',
        `${source}:/bound:${word}`,
        'box',
        'true',
      );
      expect(status).toBe(125);
      expect(stderr).toContain(`is mounted on ${source} but it is not a shared`);
    }
  });
});
