// `gantry run` and its relatives as a user types them, against the real engine on this kernel.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, processesOf, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('gantry', () => {
  const here = createInstallation();
  const { gantry, ok, pipe } = here;
  const box = (...args: string[]): Promise<string> => ok('run', '--rm', '--network', 'none', ...args);

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    rmSync(tree, { recursive: true });
    rmSync(archive);
  });

  afterAll(async () => {
    await here.close();
    expect(processesOf(here.dataRoot)).toEqual([]);
    expect(existsSync(here.dataRoot)).toBe(false);
  });

  it('tells its version without an engine', async () => {
    const unused = createInstallation();
    expect(await unused.ok('--version')).toMatch(/^gantry version \d+\.\d+\.\d+$/);
    expect(existsSync(join(unused.dataRoot, 'engine.lock'))).toBe(false);
    await unused.close();
  });

  describe('run', () => {
    it('prints the page of the embedded image, with the bridge', async () => {
      const page = await ok('run', '--rm', 'gantry/hello');
      expect(page).toContain('Hello from inside a container!');
      expect(page).toMatch(/PID +1, the first/);
      expect(page).toMatch(/eth0 +172\./);
    });

    it.each([
      ['exit 7', 7],
      ['kill -9 $$', 137],
      ['kill -TERM $$; sleep 5', 143],
      ['true', 0],
    ])('gives the status of "%s"', async (script, status) => {
      // PID 1 ignores signals it has no handler for, so a child of --init is asked.
      expect((await gantry('run', '--rm', '--init', '--network', 'none', 'box', 'sh', '-c', script)).status).toBe(
        status,
      );
    });

    it('--rm leaves nothing to the next container in its directory, and no way into it', async () => {
      const inode = (id: string, name = '.') => statSync(join(here.dataRoot, 'containers', id, name)).ino;
      const sleeper = ['run', '-d', '--rm', '--network', 'none', 'box', 'sh', '-c'];
      const spoil = 'mkdir /left /etc/left; echo x >/left/file; chmod 777 /; chown 5:5 /; echo said; exec sleep 600';
      const first = await ok(...sleeper, spoil);
      await until(() => existsSync(join(here.dataRoot, 'containers', first, 'upper/left/file')));
      const root = openSync(`/proc/${await ok('inspect', '-f', '{{.State.Pid}}', first)}/root`, 'r');
      const [directory, upper] = [inode(first), inode(first, 'upper')];
      await ok('rm', '-f', first);
      let next = '';
      await until(async () => {
        if (next !== '') await ok('rm', '-f', next);
        next = await ok(...sleeper, 'exec sleep 600');
        return inode(next) === directory;
      }, 'the directory of the first');
      expect(inode(next, 'upper')).not.toBe(upper);
      expect(() => writeFileSync(`/proc/self/fd/${root}/late`, '')).toThrow('ENOENT');
      closeSync(root);
      const seen = 'ls -d /left /etc/left /late 2>/dev/null; stat -c "%a %u %g" /';
      expect((await gantry('exec', next, 'sh', '-c', seen)).stdout).toBe('755 0 0\n');
      expect(await ok('logs', next)).toBe('');
      await ok('rm', '-f', next);
    });

    it('separates stdout from stderr', async () => {
      const { stdout, stderr } = await gantry(
        'run',
        '--rm',
        '--network',
        'none',
        'box',
        'sh',
        '-c',
        'echo out; echo err >&2',
      );
      expect([stdout, stderr]).toEqual(['out\n', 'err\n']);
    });

    it('feeds stdin with -i, and a large one whole', async () => {
      const text = 'x'.repeat(300_000);
      const { stdout } = await pipe(text, 'run', '--rm', '-i', '--network', 'none', 'box', 'wc', '-c');
      expect(stdout.trim()).toBe('300000');
    });

    it('carries a large output whole', async () => {
      expect((await box('box', 'sh', '-c', 'yes 0123456789 | head -c 3000000')).length).toBe(3_000_000);
    });

    it('knows user, groups, directory, environment and hostname', async () => {
      expect(await box('-u', 'user', 'box', 'id')).toBe('uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)');
      expect(await box('-u', '7:8', '--group-add', 'extra', 'box', 'id')).toBe('uid=7 gid=8 groups=8,2000(extra)');
      expect(await box('-w', '/var/www', 'box', 'pwd')).toBe('/var/www');
      expect(await box('-e', 'A=b c', '-e', 'EMPTY=', 'box', 'sh', '-c', 'echo "$A|$EMPTY|$HOME|$HOSTNAME"')).toMatch(
        /^b c\|\|\/root\|[0-9a-f]{12}$/,
      );
      expect(await box('--hostname', 'crane', 'box', 'hostname')).toBe('crane');
    });

    it('limits what the limit flags name', async () => {
      const read =
        'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max';
      expect(await box('-m', '64m', '--pids-limit', '30', '--cpus', '0.5', 'box', 'sh', '-c', read)).toMatch(
        /^67108864\n30/,
      );
      expect(await box('--ulimit', 'nofile=64:128', 'box', 'sh', '-c', 'ulimit -n; ulimit -Hn')).toBe('64\n128');
      expect(
        (
          await gantry(
            'run',
            '--rm',
            '--network',
            'none',
            '-m',
            '16m',
            '--memory-swap',
            '16m',
            'box',
            'sh',
            '-c',
            'a=x; while true; do a=$a$a; done',
          )
        ).status,
      ).toBe(137);
    });

    it('takes and gives capabilities', async () => {
      const effective = ['box', 'grep', 'CapEff', '/proc/self/status'];
      expect(await box('--cap-drop', 'ALL', ...effective)).toMatch(/0{16}$/);
      expect(await box('--cap-drop', 'ALL', '--cap-add', 'NET_ADMIN', ...effective)).toMatch(/0000000000001000$/);
    });

    it('mounts binds, volumes and tmpfs', async () => {
      const directory = join(here.dataRoot, 'shared');
      mkdirSync(directory);
      writeFileSync(join(directory, 'file'), 'from the host\n');
      expect(await box('-v', `${directory}:/mnt`, 'box', 'cat', '/mnt/file')).toBe('from the host');
      await box('-v', `${directory}:/mnt`, 'box', 'sh', '-c', 'echo back > /mnt/answer');
      expect(readFileSync(join(directory, 'answer'), 'utf8')).toBe('back\n');
      expect(
        (await gantry('run', '--rm', '--network', 'none', '-v', `${directory}:/mnt:ro`, 'box', 'touch', '/mnt/x'))
          .stderr,
      ).toContain('Read-only file system');
      await box('-v', 'data:/var/www', 'box', 'sh', '-c', 'echo more > /var/www/more');
      expect(await box('-v', 'data:/srv', 'box', 'ls', '/srv')).toBe('index.html\nmore');
      expect(
        await box('--tmpfs', '/scratch:size=1m', 'box', 'sh', '-c', 'df -k /scratch | tail -1 | grep -c 1024'),
      ).toBe('1');
      expect(await ok('volume', 'rm', 'data')).toBe('data');
    });

    it('keeps its own files in the container only', async () => {
      await ok('run', '--name', 'keeper', '--network', 'none', 'box', 'touch', '/kept');
      expect(await box('box', 'ls', '/')).not.toContain('kept');
      expect(await ok('start', '-a', 'keeper')).toBe('');
      await ok('rm', 'keeper');
    });

    it('has a root that cannot be written with --read-only', async () => {
      expect((await gantry('run', '--rm', '--network', 'none', '--read-only', 'box', 'touch', '/x')).stderr).toContain(
        'Read-only file system',
      );
    });

    it('gives a terminal with -t', async () => {
      expect(await box('-t', 'box', 'sh', '-c', 'tty; test -t 1 && echo terminal')).toBe('/dev/pts/0\r\nterminal\r');
    });

    it('says what --init cannot run, and runs it at the smallest limit of processes', async () => {
      const init = (...args: string[]) => gantry('run', '--rm', '--init', '--network', 'none', ...args);
      expect(await init('box', 'nosuch')).toMatchObject({
        status: 127,
        stderr: 'docker-init: cannot run "nosuch": No such file or directory\n',
      });
      expect(await init('box', '/etc')).toMatchObject({ status: 126, stderr: expect.stringContaining('"/etc"') });
      for (let i = 0; i < 10; i++) expect((await init('--pids-limit', '2', 'box', 'true')).status).toBe(0);
    });

    it('reaps the dead with --init', async () => {
      expect(
        await box(
          '--init',
          'box',
          'sh',
          '-c',
          'cat /proc/1/cmdline | grep -c docker-init; (sleep 0.05 &); sleep 0.2; ps -o stat | grep -c Z; true',
        ),
      ).toBe('1\n0');
    });
  });

  describe('a container in the background', () => {
    it('is listed, inspected, logged, entered and stopped', async () => {
      const id = await ok(
        'run',
        '-d',
        '--name',
        'daemon',
        '--label',
        'a=b',
        '--network',
        'none',
        'box',
        'sh',
        '-c',
        'trap "exit 5" TERM; echo one; echo two; while true; do sleep 0.05; done',
      );
      expect(id).toMatch(/^[0-9a-f]{64}$/);
      expect(await ok('ps', '--format', '{{.Names}} {{.Image}} {{.State}}', '--filter', 'label=a=b')).toBe(
        'daemon box running',
      );
      expect(await ok('inspect', '-f', '{{.State.Running}} {{index .Config.Labels "a"}}', 'daemon')).toBe('true b');
      await until(async () => (await ok('logs', 'daemon')) === 'one\ntwo', 'the log');
      expect(await ok('logs', '--tail', '1', 'daemon')).toBe('two');
      expect(await ok('logs', '-t', '--tail', '1', 'daemon')).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z two$/);
      expect(await ok('exec', 'daemon', 'sh', '-c', 'echo $((6*7))')).toBe('42');
      expect((await gantry('exec', 'daemon', 'sh', '-c', 'exit 9')).status).toBe(9);
      expect((await gantry('exec', 'daemon', 'nothing')).status).toBe(127);
      expect((await pipe('typed\n', 'exec', '-i', 'daemon', 'cat')).stdout).toBe('typed\n');
      expect(await ok('exec', '-t', 'daemon', 'tty')).toMatch(/^\/dev\/pts\/\d+\r$/);
      expect(
        await ok('exec', '-u', 'user', '-w', '/tmp', '-e', 'X=1', 'daemon', 'sh', '-c', 'id -u; pwd; echo $X'),
      ).toBe('1000\n/tmp\n1');
      expect(await ok('top', 'daemon')).toMatch(/^UID +PID/);
      expect(await ok('stats', '--no-stream', '--format', '{{.Name}} {{.PIDs}}', 'daemon')).toMatch(/^daemon \d+$/);
      expect(await ok('stop', 'daemon')).toBe('daemon');
      expect(await ok('inspect', '-f', '{{.State.ExitCode}} {{.State.Status}}', 'daemon')).toBe('5 exited');
      expect(await ok('rm', 'daemon')).toBe('daemon');
    });

    it('is paused and goes on', async () => {
      await ok(
        'run',
        '-d',
        '--name',
        'frozen',
        '--network',
        'none',
        'box',
        'sh',
        '-c',
        'while true; do echo tick; sleep 0.02; done',
      );
      await ok('pause', 'frozen');
      expect(await ok('ps', '--format', '{{.State}}', '--filter', 'name=frozen')).toBe('paused');
      const before = await ok('logs', 'frozen');
      await new Promise((resolve) => setTimeout(resolve, 150));
      expect(await ok('logs', 'frozen')).toBe(before);
      expect((await gantry('exec', 'frozen', 'true')).stderr).toContain('is paused');
      await ok('unpause', 'frozen');
      await until(async () => (await ok('logs', 'frozen')).length > before.length, 'a tick');
      await ok('rm', '-f', 'frozen');
    });

    it('is followed until it ends', async () => {
      await ok(
        'run',
        '-d',
        '--name',
        'talker',
        '--network',
        'none',
        'box',
        'sh',
        '-c',
        'for i in 1 2 3; do echo $i; sleep 0.1; done',
      );
      expect(await ok('logs', '-f', 'talker')).toBe('1\n2\n3');
      expect(await ok('wait', 'talker')).toBe('0');
      await ok('rm', 'talker');
    });

    it('is restarted by its policy, and not once it is stopped', async () => {
      await ok(
        'run',
        '-d',
        '--name',
        'phoenix',
        '--restart',
        'on-failure:2',
        '--network',
        'none',
        'box',
        'sh',
        '-c',
        'echo life; exit 3',
      );
      await until(
        async () => (await ok('inspect', '-f', '{{.State.Status}} {{.RestartCount}}', 'phoenix')) === 'exited 2',
        'two restarts',
      );
      expect((await ok('logs', 'phoenix')).split('\n')).toEqual(['life', 'life', 'life']);
      await ok('rm', 'phoenix');
    });

    it('outlives an engine that is killed, and is found again', async () => {
      await ok(
        'run',
        '-d',
        '--name',
        'survivor',
        '-p',
        '127.0.0.1::80',
        'box',
        'httpd',
        '-f',
        '-p',
        '80',
        '-h',
        '/var/www',
      );
      const address = await ok('port', 'survivor', '80');
      expect(await fetch(`http://${address}/`).then((answer) => answer.text())).toBe('served\n');
      const pid = here.enginePid();
      process.kill(pid!, 'SIGKILL');
      await until(() => !existsSync(`/proc/${pid}`));
      expect(await ok('ps', '--format', '{{.Names}} {{.State}}')).toBe('survivor running');
      expect(here.enginePid()).not.toBe(pid);
      expect(await ok('exec', 'survivor', 'echo', 'here')).toBe('here');
      expect(await fetch(`http://${address}/`).then((answer) => answer.text())).toBe('served\n');
      await ok('stop', '-t', '0', 'survivor');
      expect(await ok('inspect', '-f', '{{.State.ExitCode}}', 'survivor')).toBe('137');
      await ok('rm', 'survivor');
    });

    it('that ended while no engine ran is known to have', async () => {
      await ok('run', '-d', '--name', 'alone', '--network', 'none', 'box', 'sh', '-c', 'sleep 0.4; exit 11');
      const pid = here.enginePid()!;
      process.kill(pid, 'SIGKILL');
      await until(() => !existsSync(`/proc/${pid}`));
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'alone')).toBe('exited 11');
      await ok('rm', 'alone');
    });
  });

  describe('networks', () => {
    it('connects two containers and publishes ports', async () => {
      await ok('run', '-d', '--name', 'web', '-p', '0:80', 'box', 'httpd', '-f', '-p', '80', '-h', '/var/www');
      const ip = await ok('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'web');
      expect(await ok('run', '--rm', 'box', 'wget', '-qO-', `http://${ip}/`)).toBe('served');
      const [published] = (await ok('port', 'web', '80/tcp')).split('\n');
      const port = published!.split(':').at(-1);
      expect(await fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text())).toBe('served\n');
      expect(await ok('run', '--rm', '--network', 'container:web', 'box', 'wget', '-qO-', 'http://127.0.0.1/')).toBe(
        'served',
      );
      await ok('rm', '-f', 'web');
    });

    it('refuses a port that is taken, and leaves nothing', async () => {
      const server = createServer();
      const port = await new Promise<number>((resolve) =>
        server.listen(0, () => resolve((server.address() as { port: number }).port)),
      );
      const { status, stderr } = await gantry('run', '--rm', '-p', `${port}:80`, 'box', 'true');
      server.close();
      expect(status).toBe(125);
      expect(stderr).toContain('port is already allocated');
      expect(stderr).toContain('Hint:');
      expect(await ok('ps', '-aq')).toBe('');
    });
  });

  it('is driven by a terminal: detaches, attaches, resizes', async () => {
    await ok('run', '-dit', '--name', 'shell', '--network', 'none', 'box', 'sh');
    const script = `(sleep 0.5; printf 'echo size $(stty size)\\n'; sleep 0.4; printf '\\020\\021'; sleep 0.3) | script -qec "stty rows 33 cols 77; ${process.execPath} ${join(import.meta.dirname, '../../dist/cli/main.js')} attach shell" /dev/null`;
    const child = spawn('sh', ['-c', script], { env: here.env });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    await new Promise((resolve) => child.once('close', resolve));
    expect(output).toContain('size 33 77');
    expect(await ok('inspect', '-f', '{{.State.Running}}', 'shell')).toBe('true');
    await ok('rm', '-f', 'shell');
  });
});
