// Layers as EROFS files: mounted once for all, taken over, let go, as directories where that is wished, refused when damaged.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, type Installation, until } from '../helpers/cli.ts';
import { layerMounts } from '../helpers/layer-mounts.ts';
import { leftovers } from '../helpers/leftovers.ts';
import { addProbe } from '../helpers/probe.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { dockerArchive, makeTar, sha256 } from '../helpers/tar.ts';

const busyboxLayer = (): Buffer => {
  const tree = busyboxTree();
  const tar = execFileSync('tar', ['--owner=0', '--group=0', '-cf', '-', '-C', tree, '.'], { maxBuffer: 1 << 26 });
  rmSync(tree, { recursive: true });
  return tar;
};

describe.skipIf(whyNoContainers())('layers', () => {
  const work = mkdtempSync(join(tmpdir(), 'gantry-layers-'));
  const base = busyboxLayer();
  let here: Installation;

  /** Loads an image of these layers. */
  const load = async (tag: string, layers: Buffer[], config: object = {}): Promise<void> => {
    const archive = join(work, `${tag.replace(':', '-')}.tar`);
    writeFileSync(archive, dockerArchive(layers, { tag, config }));
    await here.ok('load', '-i', archive);
  };
  const run = (...args: string[]): Promise<string> => here.ok('run', '--rm', '--network', 'none', ...args);
  const mounted = () => layerMounts(here.dataRoot);
  const homeOf = (layer: Buffer): string => join(here.dataRoot, 'layers', sha256(layer).slice('sha256:'.length));
  const endEngine = async (signal: NodeJS.Signals): Promise<void> => {
    const pid = here.enginePid()!;
    process.kill(pid, signal);
    await until(() => (signal === 'SIGKILL' ? !existsSync(`/proc/${pid}`) : here.enginePid() === undefined));
  };

  beforeEach(() => {
    here = createInstallation();
  });
  afterEach(async () => {
    await here.close();
    expect(leftovers(here.dataRoot, [])).toEqual([]);
  });

  it('are mounted when first used, once for all containers, and let go with the image or the engine', async () => {
    await load('box:1', [base]);
    const home = homeOf(base);
    expect(readdirSync(home).sort()).toEqual(['layer.erofs', 'layer.json', 'tree']);
    expect([readdirSync(join(home, 'tree')), mounted()]).toEqual([[], []]);
    await here.ok('run', '-d', '--name', 'one', '--network', 'none', 'box:1', 'sleep', '1000');
    const mount = { place: join(home, 'tree'), source: join(home, 'layer.erofs') };
    expect(mounted()).toEqual([{ ...mount, options: expect.stringMatching(/^ro,nosuid,nodev,noexec/) }]);
    expect(await run('box:1', 'cat', '/var/www/index.html')).toBe('served');
    expect(await run('--userns', 'auto', 'box:1', 'stat', '-c', '%u %n', '/bin/busybox')).toBe('0 /bin/busybox');
    expect(mounted()).toHaveLength(1);
    await endEngine('SIGTERM');
    expect(mounted()).toEqual([]);
    // What runs keeps its files.
    expect(await here.ok('exec', 'one', 'cat', '/var/www/index.html')).toBe('served');
    await here.ok('rm', '-f', 'one');
    await here.ok('rmi', 'box:1');
    expect(mounted()).toEqual([]);
    await until(() => readdirSync(join(here.dataRoot, 'layers')).length === 0, 'the layer to go');
  });

  it('are taken over from an engine that was killed, and mounted again where somebody unmounts them', async () => {
    await load('box:1', [base]);
    expect(await run('box:1', 'echo', 'once')).toBe('once');
    await endEngine('SIGKILL');
    expect(mounted()).toHaveLength(1);
    expect(await run('box:1', 'echo', 'again')).toBe('again');
    expect(mounted()).toHaveLength(1);
    execFileSync('umount', [mounted()[0]!.place]);
    expect(await run('box:1', 'cat', '/var/www/index.html')).toBe('served');
    expect(mounted()).toHaveLength(1);
  });

  it('may be more than a hundred, whose files cover each other', async () => {
    const more = Array.from({ length: 126 }, (_value, index) =>
      makeTar([
        { name: `layer${index}`, content: `${index}\n` },
        { name: 'newest', content: `${index}\n` },
        ...(index > 0 ? [{ name: `.wh.layer${index - 1}` }] : []),
      ]),
    );
    await load('deep:1', [base, ...more]);
    const look = ['deep:1', 'sh', '-c', 'ls / | grep layer; cat /newest'];
    expect(await run(...look)).toBe('layer125\n125');
    expect(await run('--userns', 'auto', ...look)).toBe('layer125\n125');
    expect(mounted()).toHaveLength(127);
  });

  it('keep what only containers are to honour: set-user-ID programs, owners, capabilities, opaque directories', async () => {
    const tree = busyboxTree();
    addProbe(tree);
    execFileSync('cp', [join(tree, 'bin/probe'), join(tree, 'bin/able')]);
    execFileSync('setcap', ['cap_net_bind_service=ep', join(tree, 'bin/able')]);
    execFileSync('chmod', ['4755', join(tree, 'bin/probe')]);
    execFileSync('chown', ['1000:70000', join(tree, 'home/user')]);
    execFileSync('touch', ['-d', '2001-02-03 04:05:06.789012345Z', join(tree, 'etc/passwd')]);
    const archive = makeArchive(tree, 'kept:1', { owners: true });
    await here.ok('load', '-i', archive);
    rmSync(tree, { recursive: true });
    const script =
      'probe ids | head -n 1; able status | grep CapEff; stat -c "%u:%g" /home/user; stat -c %y /etc/passwd';
    expect(await run('-u', 'user', 'kept:1', 'sh', '-c', script)).toBe(
      'uid 1000 0 0 gid 1000 1000 1000 groups 1000 2000\nCapEff:\t0000000000000400\n1000:70000\n2001-02-03 04:05:06.789012345 +0000',
    );
    const hides = makeTar([{ name: 'var/www/.wh..wh..opq' }, { name: 'var/www/new', content: 'x' }]);
    await load('hiding:1', [base, hides]);
    expect(await run('hiding:1', 'ls', '/var/www')).toBe('new');
  });

  it('are directories where GANTRY_LAYERS says so, beside those that are files', async () => {
    here.env.GANTRY_LAYERS = 'directories';
    await load('box:1', [base]);
    expect(existsSync(join(homeOf(base), 'tree/bin/busybox'))).toBe(true);
    expect(await run('box:1', 'cat', '/var/www/index.html')).toBe('served');
    expect(await here.ok('info')).toMatch(/^Layers: +directories \(GANTRY_LAYERS says so\)$/m);
    await endEngine('SIGTERM');
    delete here.env.GANTRY_LAYERS;
    const upper = makeTar([{ name: 'var/www/index.html', content: 'from a file\n' }]);
    await load('box:2', [base, upper]);
    expect(readdirSync(homeOf(upper))).toContain('layer.erofs');
    expect(await run('box:2', 'cat', '/var/www/index.html')).toBe('from a file');
    expect(mounted().map(({ place }) => place)).toEqual([join(homeOf(upper), 'tree')]);
    expect(await here.ok('doctor')).toMatch(/^. layers +EROFS files$/m);
    const verified = (await here.ok('image', 'verify')).split('\n').sort();
    expect(verified).toEqual([
      expect.stringMatching(/^✓ box:1: 1 layer,/),
      expect.stringMatching(/^✓ box:2: 2 layers,/),
    ]);
    await endEngine('SIGTERM');
    // The same the other way round.
    here.env.GANTRY_LAYERS = 'directories';
    expect(await run('box:2', 'cat', '/var/www/index.html')).toBe('from a file');
  });

  it('come through loop devices where the kernel mounts no files, which go with the mounts', async () => {
    here.env.GANTRY_LAYERS = 'loop';
    await load('box:1', [base]);
    expect(await run('box:1', 'cat', '/var/www/index.html')).toBe('served');
    const [{ source } = { source: '' }] = mounted();
    expect(source).toMatch(/^\/dev\/loop\d+$/);
    expect(execFileSync('losetup', ['-n', '-O', 'RO,AUTOCLEAR', source], { encoding: 'utf8' })).toMatch(/^ *1 +1$/m);
    await endEngine('SIGTERM');
    expect(execFileSync('losetup', ['-n', '-O', 'BACK-FILE'], { encoding: 'utf8' })).not.toContain(here.dataRoot);
  });

  it('refuse a setting that nobody knows', async () => {
    here.env.GANTRY_LAYERS = 'squashfs';
    const { status, stderr } = await here.gantry('serve');
    expect([status, stderr]).toEqual([1, expect.stringContaining('Cannot read GANTRY_LAYERS "squashfs"')]);
  });

  it('that are damaged say so, and come again with the image', async () => {
    await load('box:1', [base]);
    truncateSync(join(homeOf(base), 'layer.erofs'), 4096);
    const { status, stderr } = await here.gantry('run', '--rm', '--network', 'none', 'box:1', 'true');
    expect(status).toBe(125);
    expect(stderr).toContain(
      `Cannot use the layer ${sha256(base)}: "${homeOf(base)}/layer.erofs" has 4096 bytes, not `,
    );
    expect(stderr).toContain('Hint: Pull or load the image again');
    await load('box:1', [base]);
    expect(await run('box:1', 'cat', '/var/www/index.html')).toBe('served');
  });
});
