// Containers that are WASI programs: what they see, what they cannot reach, how they end, and who drives them.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, hasEnded, type Installation, until } from '../helpers/cli.ts';
import { whyNoDockerClient } from '../helpers/docker-client.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { buildPrograms } from '../helpers/wasi-programs.ts';

const reason = whyNoContainers();
if (reason) console.log(`WASI programs are not tested: ${reason}`);

describe.skipIf(reason)('WASI programs', () => {
  let here: Installation;
  let shared: string;
  const python = (code: string, ...flags: string[]) => here.gantry('run', '--rm', ...flags, 'python', '-c', code);
  const inspect = (format: string, name: string) => here.ok('inspect', '-f', format, name);

  beforeAll(async () => {
    here = createInstallation();
    const context = await buildPrograms(here);
    shared = join(context, 'shared');
    mkdirSync(shared);
    writeFileSync(join(shared, 'file'), 'of the host\n');
    writeFileSync(join(context, 'secret'), 'not to be seen\n');
  }, 60_000);
  afterAll(() => here.close());

  it('run as their image says, and tell arguments, variables and their end', async () => {
    expect(await here.ok('image', 'inspect', '-f', '{{.Os}}/{{.Architecture}}', 'small')).toBe('wasi/wasm');
    expect(await here.ok('run', '--rm', 'small')).toBe('hello');
    const code =
      'import os, sys; print(sys.argv, os.environ["OF"], os.environ["MORE"], os.listdir("/")); print("bad", file=sys.stderr); sys.exit(3)';
    expect(await here.gantry('run', '--rm', '-e', 'MORE=ä', 'python', '-c', code, 'é', 'two words')).toEqual({
      status: 3,
      stdout: "['-c', 'é', 'two words'] image ä ['app.wasm']\n",
      stderr: 'bad\n',
    });
  });

  it('run from a file that lies here, as an image without a name', async () => {
    const file = join(shared, '../small.wasm');
    expect(await here.ok('run', '--rm', '--isolation', 'wasm', file)).toBe('hello');
    expect(await here.ok('run', '--rm', file)).toBe('hello');
    expect(await here.ok('images', '-q', '--filter', 'dangling=true')).toMatch(/^[0-9a-f]{12}$/);
    expect(await here.gantry('run', '--rm', join(shared, 'none.wasm'))).toMatchObject({ status: 125 });
    writeFileSync(join(shared, 'text.wasm'), 'no module');
    expect(await here.gantry('run', '--rm', join(shared, 'text.wasm'))).toMatchObject({
      status: 126,
      stderr: expect.stringMatching(/exec format error/),
    });
    await here.ok('image', 'prune', '-f');
  });

  it('get what is piped in and give what is piped out, more than lies between', async () => {
    const input = Array.from({ length: 60_000 }, (_, line) => `line ${line}\n`).join('');
    const code = 'import sys\nfor line in sys.stdin: sys.stdout.write(line.upper())';
    const { status, stdout } = await here.pipe(input, 'run', '--rm', '-i', 'python', '-c', code);
    expect(status).toBe(0);
    expect(stdout === input.toUpperCase()).toBe(true);
    expect(await here.pipe(input, 'run', '--rm', '-i', 'small')).toMatchObject({ status: 0, stdout: 'hello\n' });
    expect(await python('import sys; print(repr(sys.stdin.read()))')).toMatchObject({ stdout: "''\n" });
  });

  it('work in directories of the host and in volumes, and change none that is read-only', async () => {
    const change = [
      'import os',
      'os.makedirs("/at/a/b"); open("/at/a/b/f", "w").write("new")',
      'os.rename("/at/a/b/f", "/at/g"); os.symlink("g", "/at/l"); open("/at/l", "a").write(" more")',
      'os.remove("/at/file"); os.rmdir("/at/a/b"); print(sorted(os.listdir("/at")), os.stat("/at/l").st_size)',
    ].join('\n');
    const bind = join(shared, 'bind');
    mkdirSync(bind);
    writeFileSync(join(bind, 'file'), '');
    expect(await python(change, '-v', `${bind}:/at`)).toMatchObject({ status: 0, stdout: "['a', 'g', 'l'] 8\n" });
    expect(readFileSync(join(bind, 'g'), 'utf8')).toBe('new more');
    expect(await python('open("/v/x", "w").write("kept")', '-v', 'kept:/v')).toMatchObject({ status: 0, stderr: '' });
    expect(await python('print(open("/v/x").read())', '-v', 'kept:/v:ro')).toMatchObject({ stdout: 'kept\n' });
    const attempts = ['open("/at/g", "a")', 'open("/at/n", "w")', 'os.remove("/at/g")', 'os.mkdir("/at/d")'].concat([
      'os.rename("/at/g", "/x")',
      'os.link("/at/g", "/x")',
      'os.utime("/at/g")',
      'os.truncate("/at/g", 0)',
    ]);
    const each = `import os\nfor code in ${JSON.stringify(attempts)}:\n  try: eval(code); print("done", code)\n  except OSError as e: print(e.errno)`;
    const { stdout } = await python(each, '-v', `${bind}:/at:ro`);
    expect(stdout).toBe('69\n'.repeat(attempts.length));
    expect(await python('open("/x", "w")', '--read-only')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/Read-only file system/),
    });
    expect(readdirSync(bind).sort()).toEqual(['a', 'g', 'l']);
  });

  it('reach nothing but what they were given', async () => {
    mkdirSync(join(shared, 'trap'));
    symlinkSync('/', join(shared, 'trap/absolute'));
    symlinkSync('../..', join(shared, 'trap/up'));
    symlinkSync('/etc/hostname', join(shared, 'trap/file'));
    symlinkSync('loop', join(shared, 'trap/loop'));
    const paths = [
      '/at/../../secret',
      '/at/../file',
      '/at/absolute/etc/hostname',
      '/at/up/secret',
      '/at/up/../secret',
      '/at/file',
      '/at/loop',
      '/../../etc/hostname',
      '/proc/self/environ',
      '/app.wasm/../../etc/hostname',
    ];
    const code = `for path in ${JSON.stringify(paths)}:
  try: print("read", path, open(path).read())
  except OSError as e: print(e.errno)
import os
for make in (lambda: os.symlink("/etc", "/at/out"), lambda: open("/at/up/made", "w"), lambda: os.mkdir("/at/absolute/tmp/made"), lambda: os.rename("/at/absolute", "/at/up/moved")):
  try: make(); print("made")
  except OSError as e: print(e.errno)`;
    const { stdout } = await python(code, '-v', `${join(shared, 'trap')}:/at`);
    // NOTCAPABLE, LOOP, NOENT, NOTDIR of preview 1.
    expect(stdout.split('\n').filter((line) => !/^(76|32|44|54)$/.test(line))).toEqual(['']);
    expect(existsSync(join(shared, '../made'))).toBe(false);
  });

  it('end by signals, by their limit of memory, and are restarted', async () => {
    await here.ok('run', '-d', '--name', 'loop', 'small', 'loop');
    const pid = Number(await inspect('{{.State.Pid}}', 'loop'));
    expect(await here.ok('ps', '--format', '{{.Names}} {{.Status}}')).toMatch(/^loop Up/);
    expect(await here.ok('stats', '--no-stream', '--format', '{{.Name}} {{.PIDs}}', 'loop')).toMatch(/^loop \d+$/);
    await here.ok('stop', 'loop');
    expect(await inspect('{{.State.Status}} {{.State.ExitCode}}', 'loop')).toBe('exited 143');
    await until(() => hasEnded(pid), 'its process to end');
    await here.ok('start', 'loop');
    await here.ok('kill', 'loop');
    expect(await here.ok('wait', 'loop')).toBe('137');
    const grown = await here.gantry('run', '--name', 'grown', '-m', '32m', 'small', 'grow');
    expect(grown).toMatchObject({ status: 134, stderr: 'RuntimeError: unreachable\n' });
    expect(await inspect('{{.State.OOMKilled}}', 'grown')).toBe('true');
    expect(await python('bytes(1 << 30)', '-m', '64m')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/MemoryError/),
    });
    await here.ok('run', '-d', '--name', 'again', '--restart', 'on-failure:2', 'python', '-c', 'raise SystemExit(4)');
    await until(async () => (await inspect('{{.State.Status}} {{.RestartCount}}', 'again')) === 'exited 2', 'restarts');
    const events = await here.ok(
      'events',
      '--since',
      '0',
      '--until',
      '0s',
      '--filter',
      'container=again',
      '--format',
      '{{.Action}}',
    );
    expect(events.split('\n').filter((action) => action === 'die')).toHaveLength(3);
    await here.ok('rm', '-f', 'loop', 'grown', 'again');
  });

  it('run on without the engine, with their output', async () => {
    const code = 'import time\nfor turn in range(6000): print("turn", turn, flush=True); time.sleep(.1)';
    await here.ok('run', '-d', '--name', 'stays', 'python', '-c', code);
    process.kill(here.enginePid()!, 'SIGKILL');
    expect(await here.ok('ps', '--format', '{{.Names}} {{.State}}')).toBe('stays running');
    const lines = async () => (await here.ok('logs', 'stays')).split('\n');
    const before = (await lines()).length;
    await until(async () => (await lines()).length > before + 2, 'more output');
    expect((await lines()).slice(0, 2)).toEqual(['turn 0', 'turn 1']);
    await here.ok('kill', 'stays');
    process.kill(here.enginePid()!, 'SIGKILL');
    expect(await inspect('{{.State.Status}} {{.State.ExitCode}}', 'stays')).toBe('exited 137');
    for (const [driver, shown] of [
      ['local', 'hello'],
      ['none', ''],
    ]) {
      await here.ok('run', '-d', '--name', driver!, '--log-driver', driver!, 'small');
      await here.ok('wait', driver!);
      if (shown) expect(await here.ok('logs', driver!)).toBe(shown);
    }
    await here.ok('rm', 'stays', 'local', 'none');
  });

  it.skipIf(whyNoDockerClient())("are driven by docker's own client, in its words for them", async () => {
    const docker = (...words: string[]) =>
      promisify(execFile)('docker', words, { env: { ...process.env, DOCKER_HOST: `unix://${here.socket}` } });
    for (const flags of [['--platform=wasi/wasm'], ['--runtime=io.containerd.wasmedge.v1', '--platform=wasi/wasm']])
      expect((await docker('run', '--rm', ...flags, 'small')).stdout).toBe('hello\n');
    await expect(docker('run', '--rm', 'python', '-c', 'raise SystemExit(7)')).rejects.toMatchObject({ code: 7 });
  });

  it('that cannot run, and what they cannot have, is refused with the reason', async () => {
    const refusals: [flags: string[], status: number, why: RegExp][] = [
      [['-t', 'small'], 125, /Cannot give a WASI program a terminal[\s\S]*Hint: Leave -t out/],
      [['-p', '80:80', 'small'], 125, /Cannot publish a port/],
      [['--network', 'host', 'small'], 125, /Cannot use the network "host"/],
      [['--cpus', '1', 'small'], 125, /limits but of its memory/],
      [['--privileged', 'small'], 125, /privileges/],
      [['-u', '1000', 'small'], 125, /the user "1000"/],
      [['-v', `${join(shared, 'file')}:/f`, 'small'], 125, /the file ".*" at "\/f"/],
      [['--tmpfs', '/t', 'small'], 125, /a tmpfs/],
      [['--entrypoint', '/nothing', 'small'], 127, /"\/nothing": no such file or directory/],
      [['--entrypoint', '/', 'small'], 126, /is a directory/],
      [['--isolation', 'wasm', 'gantry/hello'], 126, /exec format error/],
      [['-m', '1m', 'python'], 126, /Out of memory[\s\S]*Hint: Give it more memory/],
    ];
    for (const [flags, status, why] of refusals) {
      const result = await here.gantry('run', '--rm', ...flags);
      expect(result, flags.join(' ')).toMatchObject({ status, stderr: expect.stringMatching(why) });
    }
    await here.ok('run', '-d', '--name', 'one', 'small', 'loop');
    for (const words of [
      ['exec', 'one', 'x'],
      ['pause', 'one'],
      ['top', 'one'],
      ['cp', 'one:/app.wasm', shared],
    ])
      expect((await here.gantry(...words)).stderr, words[0]).toMatch(/container one: it is a WASI container/);
    await here.ok('rm', '-f', 'one');
    expect(await here.ok('ps', '-aq')).toBe('');
  });
});
