// `gantry build` as a user has it: contexts, secrets, what is shown, and what a failure says.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, type Result } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { Screen } from '../helpers/screen.ts';
import { openTerminal, whyNoTerminal } from '../helpers/terminal.ts';

describe.skipIf(whyNoContainers())('gantry build', () => {
  const here = createInstallation();
  const { gantry, ok, pipe } = here;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-build-'));
  const file = (path: string, content: string): string => {
    const place = join(directory, path);
    mkdirSync(join(place, '..'), { recursive: true });
    writeFileSync(place, content);
    return place;
  };
  /** Builds what a Dockerfile says. */
  const build = (dockerfile: string, ...flags: string[]): Promise<Result> => {
    file('Dockerfile', dockerfile);
    return gantry('build', '--progress=plain', ...flags, directory);
  };

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    file('data/kept', 'kept\n');
    file('data/secret', 'secret\n');
    file('.dockerignore', 'data/secret\n');
  });
  afterAll(async () => {
    await here.close();
    rmSync(directory, { recursive: true });
  });

  it('gives builds and containers the proxies of config.json, but for what is named', async () => {
    const proxies = {
      default: { httpProxy: 'http://proxy.test:1', noProxy: 'a,b' },
      'unix:///run/other.sock': { httpProxy: 'http://other.test:1' },
    };
    file('client/config.json', JSON.stringify({ proxies }));
    here.env.DOCKER_CONFIG = join(directory, 'client');
    try {
      const script = 'echo $HTTP_PROXY $http_proxy $NO_PROXY $no_proxy $HTTPS_PROXY';
      const words = ['run', '--rm', '--network', 'none'];
      expect(await ok(...words, 'box', 'sh', '-c', script)).toBe('http://proxy.test:1 http://proxy.test:1 a,b a,b');
      expect(await ok(...words, '-e', 'HTTP_PROXY=own', '-e', 'no_proxy=', 'box', 'sh', '-c', script)).toBe(
        'own http://proxy.test:1 a,b',
      );
      const { stderr } = await build(`FROM box\nRUN ${script}\n`, '--no-cache', '--build-arg', 'NO_PROXY=c');
      expect(stderr).toContain(' http://proxy.test:1 http://proxy.test:1 c a,b');
      file('client/config.json', JSON.stringify({ proxies: { default: { httpProxy: 7 } } }));
      const refused = await gantry(...words, 'box', 'true');
      expect(refused.stderr).toMatch(/httpProxy is no text\nHint: /);
      expect(refused.status).toBe(125);
    } finally {
      delete here.env.DOCKER_CONFIG;
    }
  });

  it('builds, names and runs; the second time from the cache', async () => {
    const text =
      'FROM box\nARG WHO=world\nCOPY data /data/\nRUN echo "hello $WHO" > /greeting && ls /data >> /greeting\nCMD ["cat", "/greeting"]\n';
    const first = await build(text, '-t', 'greeter', '-t', 'example.com/greeter:1', '--build-arg', 'WHO=you');
    expect(first.status).toBe(0);
    expect(first.stdout).toBe('');
    expect(first.stderr).toMatch(
      /^#1 \[internal\] load build context\n(#1 transferring context: .*\n)*#1 transferring context: .*done\n#1 DONE \d\.\ds\n\n/,
    );
    expect(first.stderr).toMatch(/^#(\d+) \[3\/3\] RUN echo .*\n#\1 DONE \d+\.\ds$/m);
    expect(first.stderr).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
    expect(await ok('run', '--rm', 'greeter')).toBe('hello you\nkept');
    expect(await ok('run', '--rm', 'example.com/greeter:1')).toBe('hello you\nkept');
    const second = await build(text, '--build-arg', 'WHO=you');
    expect(second.stderr).toMatch(/^#(\d+) \[3\/3\] RUN echo .*\n#\1 CACHED$/m);
    expect((await build(text, '--build-arg', 'WHO=me')).stderr).toMatch(/\[3\/3\] RUN echo .*\n#\d+ DONE/);
  });

  it('-q prints the ID alone; files get the ID and the rest', async () => {
    const [ids, metadata] = [join(directory, 'iid'), join(directory, 'metadata.json')];
    const { stdout, stderr } = await build(
      'FROM box\nLABEL a=b',
      '-q',
      '-t',
      'quiet',
      '--iidfile',
      ids,
      '--metadata-file',
      metadata,
    );
    expect(stderr).toBe('');
    const id = stdout.trim();
    expect(await ok('images', '-q', '--no-trunc', 'quiet')).toBe(id);
    expect(readFileSync(ids, 'utf8')).toBe(id);
    expect(JSON.parse(readFileSync(metadata, 'utf8'))).toMatchObject({
      'containerimage.config.digest': id,
      'image.name': 'docker.io/library/quiet:latest',
    });
  });

  it('takes a Dockerfile or a whole context from stdin', async () => {
    expect(await pipe('FROM box\nRUN echo from stdin\n', 'build', '-')).toMatchObject({
      status: 0,
      stderr: expect.stringContaining(' from stdin\n'),
    });
    file('Dockerfile', 'FROM scratch\n');
    const besides = await pipe('FROM box\nCOPY data/kept /\n', 'build', '-f', '-', directory);
    expect(besides.status).toBe(0);
    file('Dockerfile', 'FROM box\nCOPY data /data\nRUN echo found $(ls /data)\n');
    const tar = spawnSync('tar', ['-cz', '-C', directory, '.']).stdout;
    const child = here.start('build', '--no-cache', '-');
    let text = '';
    child.stderr!.on('data', (chunk) => (text += chunk));
    child.stdin!.end(tar);
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    // Whoever packs a tar says what is in it: docker's clients leave out, and the engine does not.
    expect(text).toContain(' found kept secret\n');
  });

  it('sends the rest compressed where it shall, and a Dockerfile from elsewhere', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'gantry-build-'));
    writeFileSync(join(elsewhere, 'Other'), 'FROM box\nCOPY data/kept /k\nRUN cat /k\n');
    const { status, stderr } = await gantry('build', '--compress', '-f', join(elsewhere, 'Other'), directory);
    rmSync(elsewhere, { recursive: true });
    expect([status, stderr]).toEqual([0, expect.stringContaining(' kept\n')]);
  });

  it('a secret is seen by its step, and lies nowhere after it', async () => {
    const secret = `s3cret-${process.pid}-xyzzy`;
    const place = file('../secret-file', secret);
    const text = `FROM box
RUN --mount=type=secret,id=a,required cat /run/secrets/a | sha256sum; ls -l /run/secrets/a
RUN --mount=type=secret,id=a,env=A test "\${#A}" = ${secret.length}
RUN ! test -e /run/secrets/a && test -z "$A"
`;
    const built = await build(text, '-t', 'with-secret', '--no-cache', '--secret', `id=a,src=${place}`);
    rmSync(place);
    expect(built.stderr).toContain(spawnSync('sha256sum', { input: secret }).stdout.toString().slice(0, 64));
    expect(built.stderr).toMatch(/-r--------/);
    expect(built).toMatchObject({ status: 0 });
    expect(built.stderr).not.toContain(secret);
    const history = await ok('history', '--no-trunc', 'with-secret');
    expect(history).not.toContain(secret);
    for (const root of [here.dataRoot, `/run/gantry`])
      expect(spawnSync('grep', ['-rlF', secret, root]).stdout.toString(), root).toBe('');
  });

  it('a step that fails: its output, its lines, status 1, and no image', async () => {
    const { status, stdout, stderr } = await build(
      'FROM box\nENV A=1\nRUN echo before && \\\n    echo it broke >&2 && exit 7\nRUN true\n',
      '-t',
      'broken',
    );
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^#(\d+) \d\.\d{3} it broke\n#\1 ERROR: /m);
    const tail = stderr.slice(stderr.indexOf('------\n'));
    expect(tail.replace(/^\d\.\d{3} /gm, 'T ')).toMatch(
      /^------\n > \[2\/3\] RUN echo before && .*:\nT before\nT it broke\n------\nDockerfile:3\n-{20}\n {3}2 \| {5}ENV A=1\n {3}3 \| >>> RUN echo before && \\\n {3}4 \| >>> {5}echo it broke >&2 && exit 7\n {3}5 \| {5}RUN true\n-{20}\ngantry: .*7\n/,
    );
    expect(await ok('images', '-q', 'broken')).toBe('');
  });

  it.each([
    ['FROM box\nRUM true\n', 'line 2: unknown instruction: RUM (did you mean RUN?)', '   2 | >>> RUM true'],
    ['FROM box\nCOPY --form=x a b\n', 'line 2: unknown flag: --form (did you mean from?)', '   2 | >>> COPY'],
    ['FROM box\nCOPY $NO/such/file /x\n', '/such/file', '   2 | >>> COPY'],
    ['FROM box\nRUN --mount=type=ssh true\n', 'line 2: mounts of type "ssh" are not supported', '   2 | >>> RUN'],
  ])('%j is refused with its line', async (text, message, line) => {
    const { status, stderr } = await build(text);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).toContain(line);
  });

  it('warnings stand at the end', async () => {
    const { status, stderr } = await build('FROM box\nMAINTAINER me\nCMD echo\n');
    expect(status).toBe(0);
    expect(stderr).toContain('\n 2 warnings found:\n - MaintainerDeprecated: ');
    expect(stderr).toContain('(line 3)\n');
  });

  it.each<[string[], number, string]>([
    [['build'], 1, '"gantry build" requires exactly 1 argument'],
    [['build', '--progress=loud', '.'], 125, '"loud" for "--progress"'],
    [['build', '--progress=tty', '.'], 125, 'stderr is no terminal'],
    [['build', '--ssh=default', '.'], 125, 'Cannot use --ssh'],
    [['build', '/no/such'], 1, 'path "/no/such" not found'],
    [['build', 'https://github.com/a/b.git'], 1, 'git repositories are not fetched'],
  ])('%j: status %i', async (argv, wanted, message) => {
    const { status, stderr } = await gantry(...argv);
    expect([status, stderr]).toEqual([wanted, expect.stringContaining(message)]);
  });

  it('a file that cannot be read ends it with its name', async () => {
    spawnSync('mknod', [join(directory, 'device'), 'c', '1', '3']);
    const { status, stderr } = await build('FROM box\nCOPY . /x\n');
    rmSync(join(directory, 'device'));
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining('Cannot send "device" of the build context: it is a device'),
    ]);
  });

  it('rawjson is BuildKit’s, line by line', async () => {
    file('Dockerfile', 'FROM box\nRUN echo raw\n');
    const { stderr } = await gantry('build', '--no-cache', '--progress=rawjson', directory);
    const messages = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, { data?: string }[]>);
    const logs = messages
      .flatMap(({ logs = [] }) => logs)
      .map(({ data = '' }) => Buffer.from(data, 'base64').toString());
    expect(logs.join('')).toContain('raw\n');
    expect(messages.flatMap(({ vertexes = [] }) => vertexes).length).toBeGreaterThan(3);
  });

  it('builder prune takes what builds keep', async () => {
    await build('FROM box\nRUN dd if=/dev/zero of=/big bs=1M count=2\n');
    const pruned = await ok('builder', 'prune', '-af');
    expect(pruned).toMatch(/Total reclaimed space: \d+(\.\d+)?[kMG]?B$/);
    expect((await build('FROM box\nRUN dd if=/dev/zero of=/big bs=1M count=2\n')).stderr).toMatch(
      /\[2\/2\] RUN dd .*\n(#.*\n)*#\d+ DONE/,
    );
  });

  describe.skipIf(whyNoTerminal())('on a terminal', () => {
    it('is one block of 80 columns, drawn in place', async () => {
      file(
        'Dockerfile',
        'FROM box\nRUN for i in 1 2 3 4 5 6 7 8 9; do echo "line $i of something that is longer than a row of the terminal is wide, by far"; usleep 100000; done\nRUN exit 3\n',
      );
      const terminal = openTerminal(here.env, [process.execPath, '--', here.program, 'build', '--no-cache', directory]);
      await terminal.see(/=> => # line 3/);
      expect(await terminal.exit).toBe(1);
      const screen = new Screen(80);
      // The block; the text of the failure behind it is as long as the Dockerfile's lines.
      const end = terminal.shown.lastIndexOf('\x1b[?25h');
      screen.write(terminal.shown.slice(0, end).replaceAll('\r\n', '\n'));
      const lines = screen.lines.filter(Boolean);
      expect(lines[0]).toMatch(/^\[\+\] Building \d+\.\ds \(\d+\/\d+\)/);
      expect(lines.filter((line) => line.includes('[2/3] RUN for i in'))).toHaveLength(1);
      expect(lines.filter((line) => line.startsWith(' => ERROR [3/3] RUN exit 3'))).toHaveLength(1);
      expect(terminal.shown.slice(end)).toContain('>>> RUN exit 3');
    });

    it('Ctrl-C ends the step, and leaves nothing of it', async () => {
      file('Dockerfile', 'FROM box\nRUN echo begun && sleep 1000\n');
      const terminal = openTerminal(here.env, [process.execPath, '--', here.program, 'build', '--no-cache', directory]);
      await terminal.see(/=> => # begun/);
      terminal.type('\x03');
      await terminal.exit;
      expect(terminal.shown.lastIndexOf('\x1b[?25h')).toBeGreaterThan(terminal.shown.lastIndexOf('\x1b[?25l'));
      const { until, processesOf } = await import('../helpers/cli.ts');
      await until(async () => (await ok('ps', '-aq')) === '', 'no container');
      expect(
        processesOf(here.dataRoot).filter((pid) => /sleep/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))),
      ).toEqual([]);
    });
  });
});
