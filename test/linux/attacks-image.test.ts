// Images and mounts that lay a trap for set-up: links where directories are expected, other things where devices are.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { whyNoProbe } from '../helpers/probe.ts';
import { createProbeInstallation, type ProbeInstallation } from '../helpers/probe-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers() || whyNoProbe())('an image that lays a trap', () => {
  let here: ProbeInstallation;
  const victim = mkdtempSync(join(tmpdir(), 'gantry-victim-'));

  beforeAll(async () => {
    writeFileSync(join(victim, 'file'), 'of the host\n');
    process.env.GANTRY_TRAP = 'of the host'; // Of the engine, too, which the first command starts.
    here = await createProbeInstallation();
  });
  afterAll(async () => {
    delete process.env.GANTRY_TRAP;
    await here?.close();
    rmSync(victim, { recursive: true });
  });

  /** Loads an image whose tree `change` has laid out. */
  async function load(name: string, change: (tree: string) => void, config: object = {}): Promise<void> {
    const tree = busyboxTree();
    change(tree);
    const archive = makeArchive(tree, `${name}:latest`, { config });
    await here.ok('load', '-i', archive);
    rmSync(tree, { recursive: true });
    rmSync(join(archive, '..'), { recursive: true });
  }

  const untouched = (): void => {
    expect(readdirSync(victim)).toEqual(['file']);
  };

  it.each(['dev', 'proc', 'sys', 'etc'])('by a link in place of /%s reaches nothing of the host', async (name) => {
    for (const [index, target] of [victim, `../../../../../../..${victim}`].entries()) {
      await load(`link-${name}-${index}`, (tree) => {
        rmSync(join(tree, name), { recursive: true, force: true });
        symlinkSync(target, join(tree, name));
      });
      const script = `test -c /dev/null && test -e /proc/self && ls -l /${name}/; echo x > /${name}/file; echo done`;
      const { status, stdout } = await here.run('-t', `link-${name}-${index}`, 'sh', '-c', script);
      expect(status).toBe(0);
      expect(stdout).toContain('done');
      expect(stdout).not.toContain('of the host');
      untouched();
    }
  });

  it('by a link in the path of a mount target makes nothing on the host', async () => {
    await load('linked', (tree) => {
      mkdirSync(join(tree, 'srv'));
      symlinkSync(victim, join(tree, 'srv/absolute'));
      symlinkSync(`../../../../../../..${victim}`, join(tree, 'srv/relative'));
      symlinkSync('/proc/self/root', join(tree, 'srv/magic'));
    });
    const source = join(here.dataRoot, 'source');
    mkdirSync(source);
    for (const link of ['absolute', 'relative'])
      for (const flags of [
        ['-v', `${source}:/srv/${link}/made/deep`],
        ['--tmpfs', `/srv/${link}/scratch`],
        ['-w', `/srv/${link}/working`],
        ['-v', `named-${link}:/srv/${link}/volume`],
      ]) {
        // The link is followed as the container would: inside its own root.
        expect(await here.box(...flags, 'linked', 'ls', victim), flags.join(' ')).toMatch(
          /^(made|scratch|working|volume)$/,
        );
        untouched();
      }
    const magic = await here.run('-v', `${source}:/srv/magic/tmp/x`, 'linked', 'true');
    expect(magic.status).toBe(125);
    await here.ok('volume', 'rm', 'named-absolute', 'named-relative');
  });

  it('by a link that comes and goes while it starts makes nothing on the host (CVE-2021-30465)', async () => {
    await here.background('racer', '-v', 'shared:/shared', 'box', 'sleep', '600');
    const prepare = `mkdir /shared/real; ln -s ../../../../../../../../../..${victim} /shared/link`;
    await here.ok('exec', 'racer', 'sh', '-c', prepare);
    const race = here.ok('exec', 'racer', 'probe', 'exchange', '/shared/real', '/shared/link');
    const flags = ['-v', 'shared:/shared', '-v', 'other:/shared/real/made', '--tmpfs', '/shared/real/scratch'];
    const statuses = new Set<number>();
    for (let i = 0; i < 20; i++)
      statuses.add((await here.run(...flags, '-w', '/shared/real/work', 'box', 'true')).status);
    untouched();
    await here.ok('exec', 'racer', 'touch', '/shared/real.stop');
    expect(Number(/exchanged (\d+) ok/.exec(await race)?.[1])).toBeGreaterThan(1000);
    for (const status of statuses) expect([0, 125, 127]).toContain(status);
    await here.ok('rm', '-f', 'racer');
    await here.ok('volume', 'rm', 'shared', 'other');
  });

  it('by what is mounted over /proc gets no write that was meant for the kernel (CVE-2025-52881)', async () => {
    const fake = mkdtempSync(join(here.dataRoot, 'proc-'));
    mkdirSync(join(fake, 'kernel'));
    mkdirSync(join(fake, 'self/attr'), { recursive: true });
    for (const name of ['kernel/msgmax', 'self/attr/exec', 'self/oom_score_adj'])
      writeFileSync(join(fake, name), 'kept');
    const kept = (name: string): void => expect(readFileSync(join(fake, name), 'utf8'), name).toBe('kept');
    const set = ['--sysctl', 'kernel.msgmax=5000', '--oom-score-adj', '100'];
    for (const target of ['/proc', '/proc/', '/proc/sys', '//proc/./sys/', '/proc/self', '/proc/1/attr']) {
      const { status, stderr } = await here.run(
        '-v',
        `${fake}:${target}`,
        ...set,
        'box',
        'cat',
        '/proc/sys/kernel/msgmax',
      );
      expect(status, `${target}: ${stderr}`).toBe(125);
    }
    expect((await here.run('--tmpfs', '/proc/sys', 'box', 'true')).status).toBe(125);
    for (const name of ['kernel/msgmax', 'self/attr/exec', 'self/oom_score_adj']) kept(name);
    expect(await here.box(...set, 'box', 'cat', '/proc/sys/kernel/msgmax')).toBe('5000');
    const covered = ['-v', `${join(fake, 'kernel/msgmax')}:/proc/meminfo`];
    expect(await here.box(...covered, 'box', 'cat', '/proc/meminfo')).toBe('kept');
    expect(await here.box('-v', '/proc:/proc', 'box', 'cat', '/proc/sys/kernel/pid_max')).toMatch(/^\d+$/);
  });

  it('by its working directory reaches nothing of the host (CVE-2026-55686)', async () => {
    const link = (tree: string): void => symlinkSync(victim, join(tree, 'home/link'));
    await load('working', link, { WorkingDir: '/home/link/new' });
    expect(await here.box('working', 'sh', '-c', 'pwd; ls /')).toContain(`${victim}/new`);
    untouched();
    await load('descriptor', link, { WorkingDir: '/proc/self/fd/7' });
    expect((await here.run('descriptor', 'pwd')).status).not.toBe(0);
  });

  it('by USER is never root where that cannot be read', async () => {
    for (const [index, User] of ['4294967296', '0x0', '-1', '1:4294967296'].entries()) {
      await load(`user-${index}`, () => {}, { User });
      const { status, stdout } = await here.run(`user-${index}`, 'id', '-u');
      expect(status, User).not.toBe(0);
      expect(stdout).toBe('');
    }
  });

  it('by Env takes nothing from the host (CVE-2026-57231)', async () => {
    await load('environment', () => {}, { Env: ['GANTRY_TRAP', 'HOME', '=odd', 'PATH=/bin', '', 'A=$GANTRY_TRAP'] });
    const { stdout } = await here.run('environment', 'env');
    expect(stdout).not.toContain('of the host');
    expect(stdout).toContain('A=$GANTRY_TRAP\n');
  });

  describe('with a /dev of its own', () => {
    const own = (): string => mkdtempSync(join(here.dataRoot, 'dev-'));

    it('cannot have a link to a kernel setting laid over a masked file (CVE-2025-31133)', async () => {
      for (const target of ['/proc/sys/kernel/core_pattern', '/etc/passwd', '../null']) {
        const directory = own();
        symlinkSync(target, join(directory, 'null'));
        const { status, stderr } = await here.run('-v', `${directory}:/dev`, 'box', 'cat', '/proc/interrupts');
        expect(status, target).toBe(125);
        expect(stderr).toContain('Cannot mask "/proc/');
      }
    });

    it('cannot have its console laid over another file (CVE-2025-52565)', async () => {
      const directory = own();
      mkdirSync(join(directory, 'pts'));
      writeFileSync(join(directory, 'shm'), '');
      symlinkSync(join(victim, 'console'), join(directory, 'console'));
      symlinkSync('pts/ptmx', join(directory, 'ptmx'));
      await here.run('-t', '-v', `${directory}:/dev`, 'box', 'true');
      untouched();
      expect(existsSync(join(victim, 'console'))).toBe(false);
    });
  });
});
