// Containers of podman, dockerd and containerd, unchanged, with gantry-runtime as their runtime.
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Docker, startDocker } from '../bench/docker.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { endPlanners } from '../helpers/bundles.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { runtimeProgram } from '../helpers/runtimes.ts';

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
for (const program of ['podman', 'dockerd', 'ctr'])
  if (!has(program)) console.log(`gantry-runtime is not called by ${program}: it is not installed`);

type Call = (...args: string[]) => SpawnSyncReturns<string>;

/** What docker's words do, whoever reads them. */
function sharedChecks(call: () => Call, run: string[]): void {
  const started = ['run', ...run];

  it('run, with its status, output and environment', () => {
    const ran = call()(...started, '--rm', '-e', 'A=b', 'box', 'sh', '-c', 'echo $A $HOME $(id -u); exit 9');
    expect(ran).toMatchObject({ status: 9, stdout: 'b /root 0\n' });
  });

  it('tell what cannot be run by 127 and 126', () => {
    expect(call()(...started, '--rm', 'box', 'absent').status).toBe(127);
    expect(call()(...started, '--rm', 'box', '/etc/passwd').status).toBe(126);
  });

  it('feed it, and give it a terminal', () => {
    const fed = call()(...started, '--rm', '-i', 'box', 'cat');
    expect(fed.stdout).toBe('fed\n');
    expect(call()(...started, '--rm', '-t', 'box', 'tty').stdout).toBe('/dev/pts/0\r\n');
  });

  it('confine it', () => {
    const script = 'id; echo out > /dev/stdout; touch /etc/x || echo no; [ -d /tmp ] && grep CapEff /proc/self/status';
    const words = ['--user', '1000:7', '--read-only', '--tmpfs', '/tmp', '--pids-limit', '30', '--memory', '64m'];
    const ran = call()(...started, '--rm', ...words, 'box', 'sh', '-c', script);
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stdout).toMatch(/^uid=1000\(user\) gid=7[^\n]*\nout\nno\nCapEff:\t0{16}\n$/);
  });

  it('exec, pause, limit, signal, stop and remove one that runs', () => {
    const docker = call();
    const told = (...args: string[]): string => {
      const { status, stdout, stderr } = docker(...args);
      expect(status, stderr).toBe(0);
      return stdout.trim();
    };
    const state = () => told('inspect', '--format', '{{.State.Status}}', 'lifted');
    told(...started, '-d', '--name', 'lifted', 'box', 'sh', '-c', 'trap "exit 5" TERM; while :; do sleep 0.05; done');
    expect(docker('exec', 'lifted', 'sh', '-c', 'cat; exit 4')).toMatchObject({ status: 4 });
    expect(docker('exec', '-t', 'lifted', 'tty').stdout).toContain('/dev/pts/0');
    expect(docker('exec', 'lifted', 'absent').status).not.toBe(0);
    told('pause', 'lifted');
    expect(state()).toBe('paused');
    told('unpause', 'lifted');
    expect(told('top', 'lifted')).toContain('sh -c');
    told('stop', 'lifted');
    expect(told('inspect', '--format', '{{.State.Status}} {{.State.ExitCode}}', 'lifted')).toBe('exited 5');
    told('start', 'lifted');
    expect(state()).toBe('running');
    told('kill', 'lifted');
    told('rm', '-f', 'lifted');
  });
}

describe.skipIf(whyNoContainers() || !has('podman'))('podman', () => {
  // Podman takes no runroot of more than 50 characters.
  const directory = mkdtempSync('/tmp/gr-');
  // The limits that podman gives by default are not ours to raise on each machine.
  const settings = ['--network', 'none', '--ulimit', 'host'];
  const podman: Call = (...args) =>
    spawnSync(
      'podman',
      [
        ...['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--storage-driver', 'vfs'],
        ...['--cgroup-manager', 'cgroupfs', '--events-backend', 'file', '--runtime', runtimeProgram, ...args],
      ],
      { encoding: 'utf8', input: 'fed\n', timeout: 60_000 },
    );
  beforeAll(() => {
    const tree = busyboxTree();
    chmodSync(tree, 0o755); // The user has to enter it.
    const archive = makeArchive(tree, 'localhost/box:latest');
    expect(podman('load', '-i', archive).stderr).not.toContain('Error');
  });
  afterAll(() => {
    podman('rm', '-fa', '-t', '0');
    podman('system', 'reset', '-f');
    endPlanners();
    rmSync(directory, { recursive: true, force: true });
  });
  sharedChecks(() => podman, settings);

  it('share namespaces in a pod', () => {
    expect(
      podman('run', ...settings, '-d', '--name', 'first', '--hostname', 'crane', 'box', 'sleep', '1000').status,
    ).toBe(0);
    const shared = ['--pid', 'container:first', '--uts', 'container:first', '--ipc', 'container:first'];
    const words = ['run', '--rm', '--ulimit', 'host', '--network', 'container:first', ...shared, 'box', 'sh', '-c'];
    expect(podman(...words, 'hostname; ps').stdout).toMatch(/^crane\n.*sleep 1000/s);
    podman('rm', '-f', '-t', '0', 'first');
  });
});

describe.skipIf(whyNoContainers() || !has('dockerd') || !existsSync('/usr/bin/ctr'))('dockerd and containerd', () => {
  let docker: Docker | undefined;
  const call: Call = (...args) =>
    spawnSync('docker', args, {
      encoding: 'utf8',
      input: 'fed\n',
      env: { ...process.env, DOCKER_HOST: docker?.host },
      timeout: 60_000,
    });
  beforeAll(async () => {
    const more = [
      '--add-runtime',
      `gantry=${runtimeProgram}`,
      '--default-runtime',
      'gantry',
      '--bridge=none',
      '--iptables=false',
    ];
    docker = await startDocker(makeArchive(busyboxTree(), 'box:latest'), console.log, { more });
    expect(docker, 'dockerd does not start').toBeDefined();
  }, 60_000);
  afterAll(async () => {
    const left = call('ps', '-aq').stdout.split('\n').filter(Boolean);
    if (left.length > 0) call('rm', '-f', ...left);
    await docker?.close();
    endPlanners();
  });
  sharedChecks(() => call, ['--network', 'none']);

  it('docker changes limits, and is refused by name what is not carried out', () => {
    call('run', '-d', '--network', 'none', '--name', 'limited', 'box', 'sleep', '1000');
    expect(call('update', '--memory', '64m', '--memory-swap', '80m', 'limited')).toMatchObject({ status: 0 });
    expect(call('exec', 'limited', 'cat', '/sys/fs/cgroup/memory/memory.limit_in_bytes').stdout).toBe(
      `${64 * 2 ** 20}\n`,
    );
    call('rm', '-f', 'limited');
  });

  it('containerd runs a task with BinaryName', () => {
    const archive = makeArchive(busyboxTree(), 'docker.io/library/task:latest');
    const ctr: Call = (...args) =>
      spawnSync('ctr', ['-a', docker?.containerd ?? '', '-n', 'gantry', ...args], {
        encoding: 'utf8',
        timeout: 60_000,
      });
    expect(ctr('images', 'import', '--no-unpack', archive).stderr).toBe('');
    const image = ctr('images', 'ls', '-q').stdout.trim();
    const run = ['run', '--snapshotter', 'native', '--runc-binary', runtimeProgram];
    expect(ctr(...run, '--rm', image, 'one', 'sh', '-c', 'echo by containerd; exit 6')).toMatchObject({
      status: 6,
      stdout: 'by containerd\n',
    });
    expect(ctr(...run, '--detach', image, 'two', 'sleep', '1000').status).toBe(0);
    expect(ctr('tasks', 'exec', '--exec-id', 'more', 'two', 'sh', '-c', 'exit 8').status).toBe(8);
    expect(ctr('tasks', 'pause', 'two').status).toBe(0);
    expect(ctr('tasks', 'ls').stdout).toMatch(/two\s+\d+\s+PAUSED/);
    expect(ctr('tasks', 'resume', 'two').status).toBe(0);
    expect(ctr('tasks', 'delete', '--force', 'two').status).toBe(0);
    expect(ctr('containers', 'delete', 'two').status).toBe(0);
    ctr('images', 'rm', image);
    expect(readdirSync('/sys/fs/cgroup/pids/gantry').filter((name) => name === 'one' || name === 'two')).toEqual([]);
  });
});
