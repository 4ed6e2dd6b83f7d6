// Volumes: what a new one takes over from the image, and when; --volumes-from; anonymous ones; what is refused.
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('a volume', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const run = (...args: string[]): Promise<string> => ok('run', '--rm', '--network', 'none', ...args);
  const sh = (mounts: string[], script: string, image = 'box'): Promise<string> =>
    run(...mounts, image, 'sh', '-c', script);
  const path = (volume: string): Promise<string> => ok('volume', 'inspect', '-f', '{{.Mountpoint}}', volume);
  const volumes = async (): Promise<string[]> => (await ok('volume', 'ls', '-q')).split('\n').filter(Boolean);

  beforeAll(async () => {
    const tree = busyboxTree();
    const seed = join(tree, 'seed');
    mkdirSync(join(seed, 'deep/er'), { recursive: true });
    writeFileSync(join(seed, 'one'), 'from the image\n');
    linkSync(join(seed, 'one'), join(seed, 'deep/two'));
    linkSync(join(seed, 'one'), join(seed, 'deep/er/three'));
    symlinkSync('../one', join(seed, 'deep/link'));
    symlinkSync('/nowhere', join(seed, 'dangling'));
    execFileSync('truncate', ['-s', '64M', join(seed, 'sparse')]);
    execFileSync('sh', [
      '-c',
      'printf end | dd of="$1" bs=1 seek=60000000 conv=notrunc status=none',
      'sh',
      join(seed, 'sparse'),
    ]);
    execFileSync('sh', [
      '-c',
      'cd "$1" && mkfifo pipe && mknod null c 1 3 && touch setuid && chown 1000:2000 setuid deep && chmod 4755 setuid && chmod 1777 deep && chown 5:6 . && chmod 2750 . && touch -d @1000000000 one',
      'sh',
      seed,
    ]);
    writeFileSync(join(tree, 'file'), 'not a directory\n');
    symlinkSync('seed', join(tree, 'alias'));
    symlinkSync('/etc/../../../seed', join(tree, 'astray'));
    // Made by hand: the layer must keep owners, holes become zeros of a tar.
    const archive = makeArchive(tree, 'box:1', { config: { Volumes: { '/var/own': {} } }, owners: true });
    await ok('load', '-i', archive);
    await ok('tag', 'box:1', 'box');
    rmSync(tree, { recursive: true });
    rmSync(archive);
  });
  afterAll(() => here.close());

  const look =
    'cd /data; stat -c "%n %F %a %u:%g" . * deep/*; stat -c %Y one; cat deep/er/three; readlink deep/link; readlink dangling';
  const taken = [
    '. directory 2750 5:6',
    'dangling symbolic link 777 0:0',
    'deep directory 1777 1000:2000',
    'null character special file 644 0:0',
    'one regular file 644 0:0',
    'pipe fifo 644 0:0',
    'setuid regular empty file 4755 1000:2000',
    'sparse regular file 644 0:0',
    'deep/er directory 755 0:0',
    'deep/link symbolic link 777 0:0',
    'deep/two regular file 644 0:0',
    '1000000000',
    'from the image',
    '../one',
    '/nowhere',
  ].join('\n');

  it('that is new starts with what the image has at its target: owners, modes, times, kinds', async () => {
    await run('-v', 'fresh:/seed', 'box', 'true');
    expect(await sh(['-v', 'fresh:/data'], look)).toBe(taken);
    expect(
      await sh(['-v', 'fresh:/data'], 'cd /data; stat -c "%h %i" one deep/two deep/er/three').then(
        (text) => new Set(text.split('\n')).size,
      ),
    ).toBe(1);
    expect(
      await sh(
        ['-v', 'fresh:/data'],
        'cd /data; stat -c %h one; stat -c %s sparse; dd if=sparse bs=1 skip=60000000 count=3 2>/dev/null',
      ),
    ).toBe('3\n67108864\nend');
  });

  it('bound from where nothing was is an empty directory, and that is said', async () => {
    const source = join(here.dataRoot, 'a path', 'with a mistake');
    const { status, stdout, stderr } = await here.gantry('run', '--rm', '-v', `${source}:/x`, 'box', 'ls', '/x');
    expect([status, stdout]).toEqual([0, '']);
    expect(stderr).toContain(`WARNING: Nothing was at ${source}: an empty directory was made there`);
    expect(await here.ok('run', '--rm', '-v', `${source}:/x`, 'box', 'ls', '/x')).toBe('');
    expect(await here.gantry('rm', '-f', 'nobody')).toEqual({
      status: 0,
      stdout: '',
      stderr: 'gantry: No such container: nobody\n',
    });
  });

  it('keeps extended attributes and file capabilities', async () => {
    const tree = busyboxTree();
    mkdirSync(join(tree, 'seed'));
    writeFileSync(join(tree, 'seed/capable'), '');
    execFileSync('setfattr', [
      '-n',
      'security.capability',
      '-v',
      '0x0100000200040000000000000000000000000000',
      join(tree, 'seed/capable'),
    ]);
    execFileSync('setfattr', ['-n', 'user.note', '-v', 'x'.repeat(3000), join(tree, 'seed/capable')]);
    const archive = makeArchive(tree, 'attributes:1', { owners: true });
    await ok('load', '-i', archive);
    await run('-v', 'attributes:/seed', 'attributes:1', 'true');
    const dump = execFileSync(
      'getfattr',
      ['-d', '-m', '-', '-e', 'hex', '--absolute-names', join(await path('attributes'), 'capable')],
      { encoding: 'utf8' },
    );
    expect(dump).toContain('security.capability=0x0100000200040000000000000000000000000000');
    expect(dump).toContain(`user.note=0x${'78'.repeat(3000)}`);
    for (const left of [tree, archive]) rmSync(left, { recursive: true });
  });

  it('takes it over on its first use only, and never over what is there', async () => {
    expect(await sh(['-v', 'once:/seed'], 'rm -r /seed/* && ls /seed')).toBe('');
    expect(await sh(['-v', 'once:/seed'], 'ls /seed')).toBe('');
    await ok('volume', 'create', 'mine');
    writeFileSync(join(await path('mine'), 'own'), '');
    expect(await sh(['-v', 'mine:/seed'], 'ls /seed')).toBe('own');
    await ok('volume', 'create', 'made');
    expect(await sh(['-v', 'made:/seed'], 'cat /seed/one')).toBe('from the image');
  });

  it.each([[['-v', 'bare:/seed:nocopy']], [['--mount', 'type=volume,source=bare,target=/seed,volume-nocopy']]])(
    'stays empty with %j',
    async (mount) => {
      expect(await sh(mount, 'ls /seed; stat -c "%u:%g %a" /seed')).toBe('0:0 755');
      await ok('volume', 'rm', 'bare');
    },
  );

  it.each(['/alias', '/astray'])('follows the link %s inside the image only', async (target) => {
    expect(await sh(['-v', `linked:${target}`], 'cat /seed/one; mount | grep -c " /seed "')).toBe('from the image\n1');
    await ok('volume', 'rm', 'linked');
  });

  it('is refused where the image has a file, and nothing of it stays', async () => {
    const { status, stderr } = await gantry('run', '--rm', '--network', 'none', '-v', 'onto:/file', 'box', 'true');
    expect([status, stderr]).toEqual([125, expect.stringMatching(/"\/file".*not a directory/i)]);
    expect(await ok('ps', '-aq')).toBe('');
  });

  it('without a name goes with --rm and with rm -v, and stays otherwise', async () => {
    const before = await volumes();
    expect(await sh(['-v', '/seed'], 'cat /seed/one')).toBe('from the image');
    expect(await volumes()).toEqual(before);
    await ok('run', '--name', 'keeper', '--network', 'none', '-v', 'named:/srv', 'box', 'true');
    expect((await volumes()).length).toBe(before.length + 2);
    await ok('rm', '-v', 'keeper');
    expect((await volumes()).toSorted()).toEqual([...before, 'named'].toSorted());
    await ok('run', '--name', 'leaver', '--network', 'none', 'box', 'true');
    await ok('rm', 'leaver');
    expect((await volumes()).length).toBe(before.length + 2);
  });

  it('comes along with --volumes-from, read-only where that is said', async () => {
    const shared = join(here.dataRoot, 'shared');
    mkdirSync(shared);
    await ok(
      'create',
      '--name',
      'source',
      '--network',
      'none',
      '-v',
      'given:/seed',
      '-v',
      `${shared}:/host:ro`,
      'box',
      'true',
    );
    await ok('start', '-a', 'source');
    expect(
      await sh(['--volumes-from', 'source'], 'cat /seed/one; echo new > /seed/new; touch /host/x 2>&1; true'),
    ).toMatch(/^from the image\ntouch: .*Read-only/);
    expect(await sh(['--volumes-from', 'source:ro'], 'cat /seed/new; touch /seed/x 2>&1; true')).toMatch(
      /^new\ntouch: .*Read-only/,
    );
    expect(await sh(['--volumes-from', 'source', '-v', 'other:/seed'], 'ls /seed/new 2>&1; true')).toContain(
      'No such file',
    );
    expect((await gantry('run', '--rm', '--volumes-from', 'nobody', 'box', 'true')).stderr).toContain(
      'No such container: nobody',
    );
    expect((await gantry('volume', 'rm', 'given')).stderr).toContain('volume is in use');
    await ok('rm', 'source');
    await ok('volume', 'rm', 'given');
  });

  it.each([
    [['--mount', 'type=volume,source=vol,target=/seed,volume-driver=nfs'], /plugin "nfs" not found/],
    [['--volume-driver', 'nfs', '-v', 'vol:/seed'], /plugin "nfs" not found/],
    [['-v', 'vol:/seed', '-v', 'other:/seed'], /Duplicate mount point: \/seed/],
    [['-v', 'vol:/seed', '--tmpfs', '/seed'], /Duplicate mount point: \/seed/],
    [['-v', 'v:/seed'], /volume name is too short/],
    [['--mount', 'type=volume,target=/seed,readonly'], /must not set ReadOnly mode when using anonymous volumes/],
    [['--mount', 'type=volume,target=/seed,volume-subpath=x'], /must not set Subpath when using anonymous volumes/],
    [
      ['--mount', 'type=volume,source=vol,target=/seed,volume-subpath=../x'],
      /must be a relative path within the volume/,
    ],
    [['--mount', 'type=tmpfs,target=/t,volume-nocopy'], /cannot mix 'volume-\*' options with mount type 'tmpfs'/],
    [['--mount', 'type=bind,source=/,target=/t,bind-recursive=readonly'], /requires 'readonly'/],
    [['--mount', 'type=tmpfs,target=/t,tmpfs-options=suid'], /invalid option: suid/],
    [['--mount', 'type=image,source=nothing,target=/t'], /No such image: nothing/],
    [['--mount', 'type=image,source=box,target=/t', '--userns', 'auto'], /user namespace/],
    [['--mount', 'type=npipe,source=x,target=/t'], /mount type unknown/],
    [['-v', 'a b:/seed'], /includes invalid characters for a local volume name/],
    [['-v', 'vol:seed'], /mount path must be absolute/],
    [['-v', 'vol:/seed:rw,odd'], /invalid mode: odd/],
    [['-v', 'vol:/seed:ro,rw'], /invalid mode: ro,rw/],
  ] as [string[], RegExp][])('is refused: %j', async (mounts, message) => {
    const before = await volumes();
    const { status, stderr } = await gantry('run', '--rm', '--network', 'none', ...mounts, 'box', 'true');
    expect([status, stderr]).toEqual([125, expect.stringMatching(message)]);
    expect(await volumes()).toEqual(before);
  });
});
