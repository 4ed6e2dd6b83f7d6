// Containers with ids of their own, started by the built command line: what root in there is, and what it is not.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, processesOf } from '../helpers/cli.ts';
import { buildProbe } from '../helpers/id-probe.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const without =
  whyNoContainers() || (existsSync('/proc/self/ns/user') ? '' : 'this kernel has no user namespaces, or hides them');
if (without !== '') console.log(`User namespaces are not tested: ${without}`);

describe.skipIf(without)('a container with a user namespace', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const shared = join(here.dataRoot, 'of-the-host');
  const run = (...args: string[]): Promise<string> =>
    ok('run', '--rm', '--network', 'none', '--userns', 'auto', ...args);
  const sh = (script: string, ...flags: string[]): Promise<string> => run(...flags, 'box', 'sh', '-c', script);
  const hostStart = async (name: string): Promise<number> =>
    Number((await ok('inspect', '-f', '{{index .HostConfig.IDMappings.UidMap 0}}', name)).split(':')[1]);

  beforeAll(async () => {
    const tree = busyboxTree();
    buildProbe(join(tree, 'bin/probe'));
    buildProbe(join(tree, 'bin/setuid-probe'));
    chmodSync(join(tree, 'bin/setuid-probe'), 0o4755);
    buildProbe(join(tree, 'bin/cap-probe'));
    expect(spawnSync(join(tree, 'bin/probe'), ['setcap', join(tree, 'bin/cap-probe')]).status).toBe(0);
    for (const name of ['chown', 'cut', 'readlink']) symlinkSync('busybox', join(tree, 'bin', name));
    mkdirSync(join(tree, 'seed'));
    writeFileSync(join(tree, 'seed/file'), 'seeded\n');
    const archive = makeArchive(tree, 'box:latest', { owners: true });
    await ok('load', '-i', archive);
    rmSync(tree, { recursive: true });
    rmSync(archive);
    mkdirSync(shared);
    writeFileSync(join(shared, 'secret'), 'of the host\n', { mode: 0o600 });
  });

  afterAll(async () => {
    await here.close();
    expect(processesOf(here.dataRoot)).toEqual([]);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(here.dataRoot);
  });

  it('is root inside and nobody on the host', async () => {
    await ok('run', '-d', '--name', 'mapped', '--userns', 'auto', '--network', 'none', 'box', 'sleep', '1000');
    const start = await hostStart('mapped');
    const pid = Number(await ok('inspect', '-f', '{{.State.Pid}}', 'mapped'));
    expect(start).toBeGreaterThan(65536);
    expect(readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/).map(Number)).toEqual([0, start, 65536]);
    expect(readFileSync(`/proc/${pid}/gid_map`, 'utf8').trim().split(/\s+/)[2]).toBe('65536');
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(new RegExp(`^Uid:\\s+${start}\\s+${start}\\s`, 'm'));
    expect(readFileSync(`/proc/${pid}/setgroups`, 'utf8').trim()).toBe('allow');
    expect(await ok('exec', 'mapped', 'id', '-u')).toBe('0');
    expect(await ok('top', 'mapped', '-eo', 'pid,uid,cmd')).toContain(String(start));
    await ok('rm', '-f', 'mapped');
  });

  it('sees every file of the image as its root sees it, and what it writes lies on disk without the map', async () => {
    await ok(
      'run',
      '--name',
      'writer',
      '--userns',
      'auto',
      '--network',
      'none',
      'box',
      'sh',
      '-c',
      'echo x > /new; chown 5:7 /new',
    );
    const upper = JSON.parse(await ok('inspect', '-f', '{{json .GraphDriver.Data.UpperDir}}', 'writer')) as string;
    const written = statSync(join(upper, 'new'));
    expect([written.uid, written.gid]).toEqual([5, 7]);
    await ok('rm', 'writer');
    const owners = await sh(
      'find /bin /etc /seed /home /var /root /tmp | while read -r f; do stat -c %u "$f"; done | sort -u',
    );
    expect(owners).toBe('0');
    expect(
      await sh(
        'touch /own; chown 1000:2000 /own; stat -c %u:%g /own /etc/hosts /etc/resolv.conf; echo "1.2.3.4 me" >> /etc/hosts',
      ),
    ).toBe('1000:2000\n0:0\n0:0');
  });

  it('has nothing of the host in its mounts', async () => {
    const points = (await sh('cut -d" " -f5 /proc/self/mountinfo')).split('\n');
    expect(points.filter((point) => point === '/')).toHaveLength(1);
    expect(points.filter((point) => !/^\/($|proc|dev|sys|etc\/)/.test(point))).toEqual([]);
    expect(await sh('ls /..')).toContain('seed');
  });

  it('runs setuid programs and file capabilities of the image', async () => {
    expect(await run('-u', 'user', 'box', 'setuid-probe')).toMatch(/^uid 1000 euid 0 caps 00000000a80425fb/);
    expect(await run('-u', 'user', 'box', 'cap-probe')).toMatch(/^uid 1000 euid 1000 caps 0000000000002000/);
  });

  it('runs as another user, who may write to its output by name', async () => {
    const { stdout, stderr } = await gantry(
      'run',
      '--rm',
      '--network',
      'none',
      '--userns',
      'auto',
      '-u',
      'user',
      'box',
      'sh',
      '-c',
      'id; echo out > /dev/stdout; echo err > /dev/stderr',
    );
    expect([stdout, stderr]).toEqual(['uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)\nout\n', 'err\n']);
    const plain = await ok(
      'run',
      '--rm',
      '--network',
      'none',
      '-u',
      'user',
      'box',
      'sh',
      '-c',
      'echo out > /dev/stdout',
    );
    expect(plain).toBe('out');
  });

  it('shares no id with another container, and a removed one gives its ids back', async () => {
    for (const name of ['one', 'two'])
      await ok('run', '-d', '--name', name, '--userns', 'auto', '--network', 'none', 'box', 'sleep', '1000');
    const [one, two] = [await hostStart('one'), await hostStart('two')];
    expect(Math.abs(one - two)).toBeGreaterThanOrEqual(65536);
    expect(await ok('exec', 'two', 'cut', '-c11-', '/proc/self/uid_map')).toContain(String(two));
    await ok('rm', '-f', 'one');
    await ok('create', '--name', 'three', '--userns', 'auto:size=1000', 'box');
    expect(await hostStart('three')).toBe(one);
    await ok('rm', '-f', 'two', 'three');
  });

  it('shares no id even where many are created at once', async () => {
    const names = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6'];
    await Promise.all(names.map((name) => ok('create', '--name', name, '--userns', 'auto', 'box')));
    const starts = (await Promise.all(names.map(hostStart))).sort((a, b) => a - b);
    for (let i = 1; i < starts.length; i++) expect(starts[i]! - starts[i - 1]!).toBeGreaterThanOrEqual(65536);
    await ok('rm', ...names);
  });

  it('takes maps as they are given', async () => {
    const maps = await ok(
      'run',
      '--rm',
      '--network',
      'none',
      '--uidmap',
      '0:200000:1000',
      '--uidmap',
      '1000:5000:10',
      '--gidmap',
      '0:300000:3000',
      'box',
      'sh',
      '-c',
      'cat /proc/self/uid_map /proc/self/gid_map; stat -c %u /bin/busybox',
    );
    expect(maps.split('\n').map((line) => line.trim().replace(/\s+/g, ' '))).toEqual([
      '0 200000 1000',
      '1000 5000 10',
      '0 300000 3000',
      '0',
    ]);
  });

  it('keeps a volume that containers with other ids share', async () => {
    expect(await sh('cat /data/file; echo more > /data/more; chown 7 /data/more', '-v', 'kept:/data')).toBe('');
    expect(await sh('stat -c %u:%n /data/*; echo again >> /data/more; cat /data/more', '-v', 'kept:/data')).toContain(
      'again',
    );
    expect(await sh('cat /seed/file; stat -c %u /seed/file; touch /seed/mine', '-v', 'filled:/seed')).toBe('seeded\n0');
    expect(await sh('cat /seed/file; touch /seed/no 2>/dev/null || echo kept', '-v', 'sealed:/seed:ro')).toBe(
      'seeded\nkept',
    );
    const disk = join(here.dataRoot, 'volumes/filled/_data');
    expect(readdirSync(disk).sort()).toEqual(['file', 'mine']);
    expect(readdirSync(disk).map((name) => statSync(join(disk, name)).uid)).toEqual([0, 0]);
    expect(await ok('run', '--rm', '--network', 'none', '-v', 'filled:/seed', 'box', 'cat', '/seed/file')).toBe(
      'seeded',
    );
  });

  it('cannot write what belongs to root of the host, unless the ids of the bind are mapped', async () => {
    const attack =
      'cat /x/secret; echo broken > /x/secret; rm -f /x/secret; chmod 666 /x/secret; chown 0 /x/secret; touch /x/new; mknod /x/disk b 8 0; true';
    const plain = await gantry(
      'run',
      '--rm',
      '--network',
      'none',
      '--userns',
      'auto',
      '--privileged',
      '-v',
      `${shared}:/x`,
      'box',
      'sh',
      '-c',
      attack,
    );
    expect(plain.stdout).toBe('');
    expect(readdirSync(shared)).toEqual(['secret']);
    expect(statSync(join(shared, 'secret')).mode & 0o777).toBe(0o600);
    expect(await sh('stat -c %u /x/secret', '-v', `${shared}:/x`)).toBe('65534');
    expect(await sh('cat /x/secret; echo y > /x/new', '-v', `${shared}:/x:idmap`)).toBe('of the host');
    expect(statSync(join(shared, 'new')).uid).toBe(0);
    expect(await sh('cat /x/new', '--mount', `type=bind,src=${shared},dst=/x,idmap,readonly`)).toBe('y');
    rmSync(join(shared, 'new'));
  });

  it('cannot reach the kernel as root of the host could', async () => {
    const { stdout, stderr } = await gantry(
      'run',
      '--rm',
      '--network',
      'none',
      '--userns',
      'auto',
      '--privileged',
      'box',
      'sh',
      '-c',
      `for f in /proc/sys/kernel/panic /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/swappiness; do
         (echo 1 > $f) 2>/dev/null && echo wrote $f; done
       mknod /tmp/disk b 8 0 2>/dev/null && echo made a device
       mkdir /m; mount -t cgroup -o memory none /m 2>/dev/null || mount -t cgroup2 none /m 2>/dev/null
       (echo /evil > /m/release_agent) 2>/dev/null && echo wrote release_agent
       (echo 1 > /m/notify_on_release) 2>/dev/null && echo wrote notify_on_release
       mount -o remount,rw /etc/hosts 2>/dev/null; mount -t tmpfs none /tmp && echo mounted; true`,
    );
    expect([stdout, stderr]).toEqual(['mounted\n', '']);
  });

  it('is refused as release agent in a namespace that it makes itself, under the default profile', async () => {
    // CVE-2022-0492: unshare is filtered without CAP_SYS_ADMIN, whichever user namespace the container is in.
    for (const flags of [[], ['--userns', 'auto']]) {
      const { status, stderr } = await gantry(
        'run',
        '--rm',
        '--network',
        'none',
        ...flags,
        'box',
        'busybox',
        'unshare',
        '-Urm',
        'true',
      );
      expect(status).not.toBe(0);
      expect(stderr).toMatch(/not permitted/i);
    }
  });

  it('has terminal, devices, clock, limits and system settings of its own', async () => {
    expect(await run('-t', 'box', 'sh', '-c', 'stat -c %u:%g /dev/console $(tty); echo t > /dev/tty')).toBe(
      '0:5\r\n0:5\r\nt\r',
    );
    expect(
      await sh(
        'head -c 4 /dev/zero | wc -c; echo x > /dev/null; cat /proc/sys/kernel/msgmax',
        '--sysctl',
        'kernel.msgmax=12345',
      ),
    ).toBe('4\n12345');
    expect(Number((await sh('cat /proc/uptime', '--time-offset', 'boottime=1000000')).split('.')[0])).toBeGreaterThan(
      1000000,
    );
    expect(await sh('ulimit -n; ulimit -Hn', '--ulimit', 'nofile=64:128')).toBe('64\n128');
    expect(await sh('hostname; cat /sys/class/net/lo/operstate', '--hostname', 'crane')).toBe('crane\nunknown');
    expect(await sh('ls /sys/firmware; head -c1 /proc/kcore | wc -c')).toBe('0');
    expect(await sh('id -u', '--gidmap', '0:1000:1', '--uidmap', '0:1000:1', '--userns', 'private')).toBe('0');
  });

  it('is connected to the bridge, execs, pauses, stops, logs and starts again with its files', async () => {
    await ok('run', '-d', '--name', 'life', '--userns', 'auto', 'box', 'sh', '-c', 'echo started; exec sleep 1000');
    expect(await ok('exec', 'life', 'ip', 'addr')).toMatch(/inet 172\./);
    expect(await ok('exec', '-t', 'life', 'sh', '-c', 'tty; stat -c %u $(tty)')).toBe('/dev/pts/0\r\n0\r');
    expect(await ok('exec', '-u', 'user', 'life', 'sh', '-c', 'id -u; echo named > /dev/stdout')).toBe('1000\nnamed');
    expect(await ok('exec', 'life', 'sh', '-c', 'echo kept > /kept; readlink /proc/self/ns/user')).toBe(
      await ok('exec', 'life', 'readlink', '/proc/1/ns/user'),
    );
    expect((await gantry('exec', '-u', '70000', 'life', 'true')).stderr).toContain('no such id');
    await ok('pause', 'life');
    await ok('unpause', 'life');
    await ok('stop', '-t', '0', 'life');
    await ok('start', 'life');
    expect(await ok('exec', 'life', 'cat', '/kept')).toBe('kept');
    expect(await ok('logs', 'life')).toBe('started\nstarted');
    await ok('rm', '-f', 'life');
  });

  it('is copied from and to with the owners that it sees, running or not', async () => {
    const file = join(shared, 'copied');
    writeFileSync(file, 'copied\n');
    chownSync(file, 12, 34);
    const script = 'echo own > /own; chown 5:6 /own; exec sleep 1000';
    await ok('run', '-d', '--name', 'copies', '--userns', 'auto', '--network', 'none', 'box', 'sh', '-c', script);
    for (const name of ['running', 'stopped']) {
      if (name === 'stopped') await ok('stop', '-t', '0', 'copies');
      await ok('cp', '-a', file, `copies:/${name}`);
      await ok('cp', '-a', 'copies:/own', join(shared, name));
      const { uid, gid } = statSync(join(shared, name));
      expect([uid, gid], name).toEqual([5, 6]);
    }
    await ok('start', 'copies');
    expect(await ok('exec', 'copies', 'stat', '-c', '%u:%g', '/running', '/stopped')).toBe('12:34\n12:34');
    await ok('rm', '-f', 'copies');
  });

  it('is planned as it is run', async () => {
    const text = await ok('plan', '--network', 'none', '--userns', 'auto', 'box');
    expect(text).toMatch(/user_namespace\("0 \d+ 65536\\n", "0 \d+ 65536\\n"\)/);
    const { spec } = JSON.parse(await ok('plan', '--json', '--network', 'none', '--userns', 'auto', 'box')) as {
      spec: { linux: { uidMappings: object[]; namespaces: { type: string }[] } };
    };
    expect(spec.linux.uidMappings).toEqual([{ containerID: 0, hostID: expect.any(Number), size: 65536 }]);
    expect(spec.linux.namespaces.map(({ type }) => type)).toContain('user');
    expect(await run('gantry/hello')).toMatch(/root in here\), id 0 is \d+ on the host/);
  });
});
