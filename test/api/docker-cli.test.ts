// Docker's own client drives the engine, unchanged.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
if (client === undefined) console.log('The docker client is not tested: it is not installed');

describe.skipIf(whyNoContainers() || client === undefined)("docker's client", () => {
  const here = createInstallation();
  const docker = (args: string[], input = ''): { status: number | null; stdout: string; stderr: string } => {
    const env = { ...here.env, DOCKER_HOST: `unix://${here.socket}` };
    return spawnSync(client!, args, { encoding: 'utf8', input, env, timeout: 60_000 });
  };
  const ok = (...args: string[]): string => {
    const { status, stdout, stderr } = docker(args);
    if (status !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
    return stdout.trimEnd();
  };

  beforeAll(async () => {
    await here.ok('info');
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    execFileSync(client!, ['load', '-i', archive], {
      env: { ...here.env, DOCKER_HOST: `unix://${here.socket}` },
    });
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('runs, in the foreground and with stdin', () => {
    expect(ok('run', '--rm', 'box', 'echo', 'hi')).toBe('hi');
    expect(docker(['run', '--rm', '-i', 'box', 'cat'], 'through\n').stdout).toBe('through\n');
    expect(docker(['run', '--rm', 'box', 'sh', '-c', 'exit 4']).status).toBe(4);
    expect(docker(['run', '--rm', 'box', '/absent']).status).toBe(127);
    expect(docker(['run', '--rm', 'box', '/etc/passwd']).status).toBe(126);
  });

  it('says what it does not find', () => {
    expect(docker(['inspect', 'nobody']).stderr).toMatch(/no such object: nobody/i);
    expect(docker(['start', 'nobody']).stderr).toContain('No such container: nobody');
  });

  it('manages a container in the background', () => {
    ok(
      'run',
      '-d',
      '--name',
      'daemon',
      '-p',
      '127.0.0.1::80',
      '-v',
      'data:/data',
      '--memory',
      '64m',
      'box',
      'httpd',
      '-f',
      '-p',
      '80',
      '-h',
      '/var/www',
    );
    expect(ok('ps', '--format', '{{.Names}} {{.Image}}')).toBe('daemon box');
    expect(ok('port', 'daemon', '80')).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(ok('exec', 'daemon', 'wget', '-qO-', 'http://127.0.0.1/')).toBe('served');
    expect(docker(['exec', 'daemon', 'sh', '-c', 'exit 3']).status).toBe(3);
    expect(docker(['exec', '-i', 'daemon', 'cat'], 'typed').stdout).toBe('typed');
    expect(ok('inspect', '-f', '{{.HostConfig.Memory}} {{(index .Mounts 0).Name}}', 'daemon')).toBe('67108864 data');
    expect(ok('top', 'daemon')).toContain('httpd');
    expect(ok('stats', '--no-stream', '--format', '{{.Name}}')).toBe('daemon');
    ok('pause', 'daemon');
    expect(ok('ps', '--format', '{{.Status}}')).toContain('(Paused)');
    ok('unpause', 'daemon');
    ok('rename', 'daemon', 'renamed');
    ok('restart', '-t', '0', 'renamed');
    expect(ok('inspect', '-f', '{{.State.Running}}', 'renamed')).toBe('true');
    ok('stop', '-t', '0', 'renamed');
    ok('rm', 'renamed');
    expect(ok('volume', 'ls', '-q')).toBe('data');
    ok('volume', 'rm', 'data');
  });

  it('gives a name to one of those who ask at once', async () => {
    const body = Buffer.from(JSON.stringify({ Image: 'box' }));
    const create = (name: string) => engineCall(here.dataRoot, 'POST', `/containers/create?name=${name}`, body);
    for (const name of ['first', 'second', 'third']) {
      const answers = await Promise.all([create(name), create(name)]);
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
      const [made, refused] = answers[0]!.status === 201 ? answers : answers.toReversed();
      const { Id: id } = JSON.parse(made!.body.toString()) as { Id: string };
      expect(refused!.body.toString()).toContain(`already in use by container \\"${id}\\"`);
    }
    const rename = engineCall(here.dataRoot, 'POST', '/containers/first/rename?name=fourth');
    expect((await Promise.all([create('fourth'), rename])).map(({ status }) => status)).toContain(409);
    expect(docker(['rename', 'second', 'third']).stderr).toContain('Error when allocating new name: Conflict.');
    ok('rename', 'second', 'fifth');
    ok('create', '--name', 'second', 'box');
    // A creation that is refused gives its name back.
    expect(docker(['create', '--name', 'sixth', '-v', '/absent/x:/y:nonsense', 'box']).status).not.toBe(0);
    expect(docker(['create', '--name', 'sixth', '--mount', 'type=bind,src=/absent/x,dst=/y', 'box']).status).not.toBe(
      0,
    );
    ok('create', '--name', 'sixth', 'box');
    ok('rm', ...ok('ps', '-aq').split('\n'));
  });

  it('reads logs and events', () => {
    ok('run', '--name', 'talker', 'box', 'sh', '-c', 'echo out; echo err >&2');
    const { stdout, stderr } = docker(['logs', 'talker']);
    expect([stdout, stderr]).toEqual(['out\n', 'err\n']);
    const now = Math.floor(Date.now() / 1000) + 1;
    expect(
      ok('events', '--since', '1', '--until', String(now), '--filter', 'container=talker', '--format', '{{.Action}}'),
    ).toBe('create\nattach\nstart\ndie');
    ok('rm', 'talker');
  });

  it('lists, tags, saves and removes images', () => {
    ok('tag', 'box', 'crate:v2');
    expect(ok('images', '--format', '{{.Repository}}:{{.Tag}}').split('\n').toSorted()).toEqual([
      'box:latest',
      'crate:v2',
    ]);
    expect(
      spawnSync(client!, ['save', 'crate:v2'], {
        env: { ...here.env, DOCKER_HOST: `unix://${here.socket}` },
      }).stdout.length,
    ).toBeGreaterThan(500_000);
    expect(ok('rmi', 'crate:v2')).toBe('Untagged: crate:v2');
    expect(ok('history', '--format', '{{.CreatedBy}}', 'box')).toBe('test');
  });

  it('is refused what is not carried out, by name', () => {
    expect(docker(['run', '--rm', '--gpus', 'all', 'box', 'true']).stderr).toContain('HostConfig.DeviceRequests');
    expect(docker(['run', '--rm', '--log-driver', 'syslog', 'box', 'true']).stderr).toContain('"syslog"');
    expect(docker(['run', '--rm', '--network', 'absent', 'box', 'true']).stderr).toContain('Network absent not found');
    expect(ok('ps', '-aq')).toBe('');
  });
});
