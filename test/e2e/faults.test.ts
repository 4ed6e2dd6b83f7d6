// What users and machines get wrong: each has a clear error, the right status, and leaves nothing behind.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enginePaths } from '../../host/paths.ts';
import { bridgeName } from '../../host/engine/network/bridge.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, processesOf, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('faults', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const tree = busyboxTree();
  const archive = makeArchive(tree, 'box:latest');

  beforeAll(() => ok('load', '-i', archive));
  afterAll(async () => {
    await here.close();
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });

  it.each([
    [['run', '--nope', 'box'], 125, 'Unknown flag: --nope'],
    [['run', '--memry', '1g', 'box'], 125, 'Did you mean --memory?'],
    [['run', '--gpus', 'all', 'box'], 125, 'Cannot use --gpus: '],
    [['ps', '--nope'], 125, 'Unknown flag: --nope'],
    [['ps', '-x'], 125, "Unknown shorthand flag: 'x' in -x"],
    [['create', '-m', '12q', 'box'], 125, 'invalid size'],
    [['stop', '-t', 'x', 'nobody'], 125, 'must be a whole number'],
    [['ps', 'extra'], 1, 'accepts no arguments'],
    [['rm'], 1, 'requires at least 1 argument'],
    [['frobnicate'], 1, 'Unknown command "frobnicate"'],
    [['create', '--pull', 'never', 'absent'], 1, 'No such image: absent:latest'],
    [['run', '--pull', 'never', 'absent'], 125, 'No such image: absent:latest'],
    [['start', 'nobody'], 1, 'No such container: nobody'],
    [['attach', 'nobody'], 1, 'No such container: nobody'],
    [['top', 'nobody'], 1, 'No such container: nobody'],
    [['wait', 'nobody'], 1, 'No such container: nobody'],
    [['rmi', 'nobody'], 1, 'No such image: nobody'],
    [['volume', 'rm', 'nobody'], 1, 'no such volume'],
    [['load', '-i', '/absent'], 1, 'no such file or directory'],
    [['run', '-m', '12q', 'box'], 125, 'Invalid argument "12q" for "--memory": invalid size'],
    [['run', '-m', '4m', 'box', 'true'], 125, 'memory'],
    [['run', '--cpus', '99', 'box', 'true'], 125, 'this host has'],
    [['run', '--cpus', 'two', 'box'], 125, 'it must be a number of CPUs'],
    [['run', '--cpuset-cpus', '77', 'box', 'true'], 125, 'this host has'],
    [['run', '--cap-add', 'FLY', 'box', 'true'], 125, 'no such capability'],
    [['run', '-p', '80:80:80:80', 'box'], 125, 'Invalid argument "80:80:80:80"'],
    [['run', '-p', '8080-8081:80-85', 'box'], 125, 'the ranges have different lengths'],
    [['run', '-v', 'a:relative', 'box', 'true'], 125, 'mount path must be absolute'],
    [
      ['run', '--mount', 'type=bind,src=/absent/path,dst=/mnt', 'box', 'true'],
      125,
      'bind source path does not exist: /absent/path',
    ],
    [['run', '--mount', 'type=bind,source=/tmp,target=/mnt,colour=red', 'box'], 125, "unexpected key 'colour'"],
    [['run', '--ulimit', 'speed=1', 'box', 'true'], 125, 'no such limit'],
    [['run', '-u', 'ghost', 'box', 'true'], 125, 'no matching entries in passwd file'],
    [['run', '--restart', 'maybe', 'box', 'true'], 125, "unknown policy 'maybe'"],
    [['run', '--rm', '--restart', 'always', 'box'], 125, 'cannot specify both --restart and --rm'],
    [['run', '--security-opt', 'apparmor=strict', 'box', 'true'], 125, 'AppArmor'],
    [['run', '--name', 'a/b', 'box', 'true'], 125, 'Invalid container name'],
    [['run', '--network', 'container:nobody', 'box', 'true'], 125, 'No such container: nobody'],
    [['run', '-it', 'box', 'sh'], 125, 'The input device is not a TTY'],
    [['run', '--env-file', '/absent', 'box'], 125, 'Cannot read the file of --env-file "/absent": ENOENT'],
    [['run', 'box', 'absent'], 127, 'executable file not found in $PATH'],
    [['run', 'box', '/etc'], 126, 'permission denied'],
    [['run', '-w', '/etc/passwd', 'box', 'true'], 125, '/etc/passwd'],
    [['run'], 1, 'requires at least 1 argument'],
    [['exec', 'nobody', 'true'], 1, 'No such container: nobody'],
    [['logs', 'nobody'], 1, 'No such container: nobody'],
    [['kill', '-s', 'SIGNOPE', 'nobody'], 1, 'No such container'],
    [['ps', '--filter', 'colour=red'], 1, "Invalid filter 'colour'"],
    [['images', '--format', '{{.Nothing}}'], 1, 'there is no field Nothing'],
    [['inspect', '-f', '{{.Id', 'box'], 1, 'unclosed action'],
    [['-H', 'tcp://127.0.0.1:1', 'ps'], 1, 'Cannot connect to the engine at "tcp://127.0.0.1:1": ECONNREFUSED'],
    [['-H', 'unix:///absent.sock', 'ps'], 1, 'Cannot connect to the engine at "/absent.sock": ENOENT'],
  ] as [string[], number, string][])('%j', async (args, status, message) => {
    const before = await ok('ps', '-aq');
    const result = await gantry(...args);
    expect(result.stderr).toContain(message);
    expect(result.status).toBe(status);
    expect(result.stderr).not.toMatch(/\bat .*\.js:\d+/);
    const left = (await ok('ps', '-aq')).split('\n').filter((id) => id !== '' && !before.includes(id));
    // As with docker: a container whose program did not start is there to be looked at.
    if (left.length > 0) await ok('rm', ...left);
  });

  it('a damaged record does not take the others with it', async () => {
    await ok('create', '--name', 'whole', 'box');
    const id = await ok('create', '--name', 'broken', 'box');
    const pid = here.enginePid()!;
    process.kill(pid, 'SIGTERM');
    await until(() => here.enginePid() === undefined);
    const path = join(here.dataRoot, 'containers', id, 'container.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.slice(0, text.length / 2));
    expect(await ok('ps', '-a', '--format', '{{.Names}}')).toBe('whole');
    expect((await gantry('doctor')).stdout).toContain(path);
    expect(readFileSync(path, 'utf8')).toBe(text.slice(0, text.length / 2));
    writeFileSync(path, text);
    process.kill(here.enginePid()!, 'SIGKILL');
    expect((await ok('ps', '-a', '--format', '{{.Names}}')).split('\n').toSorted()).toEqual(['broken', 'whole']);
    await ok('rm', 'whole', 'broken');
  });

  it('a second engine is refused the data root', async () => {
    await ok('ps');
    const { status, stderr } = await gantry('serve', '-H', `unix://${join(here.dataRoot, 'other.sock')}`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/the engine with pid \d+ uses it\nHint:/);
  });

  it('a full disk is told, and what was there stays', async () => {
    const small = mkdtempSync(join(tmpdir(), 'gantry-full-'));
    const script = `mount -t tmpfs -o size=3m none ${small} && GANTRY_DATA_ROOT=${small} ${process.execPath} ${join(import.meta.dirname, '../../dist/cli/main.js')} load -i ${archive}; status=$?; ls ${small}/ingest ${small}/layers; kill $(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' ${small}/engine.lock); exit $status`;
    const big = busyboxTree();
    writeFileSync(join(big, 'large'), Buffer.alloc(4 << 20, 1));
    const large = makeArchive(big, 'large:1');
    const { status, stderr, stdout } = spawnSync('unshare', ['-m', 'sh', '-c', script.replace(archive, large)], {
      encoding: 'utf8',
      env: here.env,
    });
    expect(stderr).toMatch(/^gantry: Cannot store the image: .* free/);
    expect(status).toBe(1);
    expect(stdout.split('\n').filter((line) => line !== '' && !line.endsWith(':'))).toEqual([]);
    await until(() => processesOf(small).length === 0, 'the engine to end');
    for (const path of [big, large, small]) rmSync(path, { recursive: true, force: true });
  });

  it('a tree that is deeper than the removal has fds goes too', async () => {
    const script = 'i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; touch end';
    await ok('run', '--rm', '--network', 'none', 'box', 'sh', '-c', `mkdir /deep && cd /deep && ${script}`);
    await until(() => readdirSync(join(here.dataRoot, 'trash')).length === 0, 'the trash to be emptied');
  });

  it('the next engine finishes a removal that the last one did not live to finish', async () => {
    const orphan = join(enginePaths(here.dataRoot).memoryRoot, 'c', 'a'.repeat(24));
    await ok('ps');
    mkdirSync(orphan);
    writeFileSync(join(orphan, 'exit.json'), '{}');
    process.kill(here.enginePid()!, 'SIGKILL');
    await ok('ps');
    await until(() => !existsSync(orphan), 'the directory to go');
  });

  it('nothing is left behind: no process, mount, cgroup, bridge or rule', async () => {
    await ok('run', '--rm', '-p', '0:80', '-m', '64m', 'box', 'true');
    await ok('run', '-d', '--name', 'last', 'box', 'sleep', '60');
    await ok('rm', '-f', 'last');
    const pid = here.enginePid()!;
    const bridge = bridgeName(here.dataRoot);
    expect(existsSync(`/sys/class/net/${bridge}`)).toBe(true);
    process.kill(pid, 'SIGTERM');
    await until(() => here.enginePid() === undefined);
    await until(() => processesOf(here.dataRoot).length === 0, 'every process to end');
    expect(existsSync(`/sys/class/net/${bridge}`)).toBe(false);
    expect(existsSync(enginePaths(here.dataRoot).memoryRoot)).toBe(false);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(here.dataRoot);
    if (existsSync('/usr/sbin/nft'))
      expect(execFileSync('/usr/sbin/nft', ['list', 'tables'], { encoding: 'utf8' })).not.toContain(bridge);
    for (const directory of ['containers', 'trash']) expect(readdirSync(join(here.dataRoot, directory))).toEqual([]);
  });
});
