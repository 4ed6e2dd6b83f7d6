// The language and the ignore file beside docker's BuildKit, its classic builder and buildah: what these versions know of it, they
// must read as we do. Nothing is run, so a build takes them no time.
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Docker, startDocker } from '../bench/docker.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

/** Debian's client of that version speaks BuildKit by itself; newer ones need a plug-in for it. */
const CLIENT = '/usr/bin/docker';
const hasDocker = existsSync('/usr/sbin/dockerd') && existsSync(CLIENT);
const hasBuildah = spawnSync('buildah', ['--version']).error === undefined;
if (!hasDocker) console.log('Dockerfiles are not compared with docker: docker.io is not installed');
if (!hasBuildah) console.log('Dockerfiles are not compared with buildah: it is not installed');

interface Config {
  Env?: string[];
  Labels?: Record<string, string>;
  [field: string]: unknown;
}

interface Built {
  config: Config;
  files: string[];
}

/** Fields without what is empty, lists of names in order. */
function comparable(config: Config): object {
  const fields = [
    'Env',
    'Labels',
    'ExposedPorts',
    'Volumes',
    'Cmd',
    'Entrypoint',
    'WorkingDir',
    'User',
    'StopSignal',
    'Shell',
  ];
  const filled = fields.flatMap((field) => {
    const value = config[field];
    const empty = value === null || value === undefined || value === '' || Object.keys(value as object).length === 0;
    return empty ? [] : [[field, value] as const];
  });
  // What builders add by themselves: a PATH where there is no base, "/" for no directory, a mark.
  const Env = (config.Env ?? []).filter((entry) => !entry.startsWith('PATH='));
  const { 'io.buildah.version': _mark, ...Labels } = config.Labels ?? {};
  const { WorkingDir: directory = '/', ...rest } = Object.fromEntries(filled) as Config;
  return { ...rest, Env, Labels, directory };
}

/** Of the table of expansions: what these versions know. */
const expansions = readFileSync(join(import.meta.dirname, '../fixtures/dockerfile/expansions.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => /^~?(.*?) =>(?: (.*))?$/.exec(line)!)
  .filter(([, source = '', result = '']) => !result.startsWith('!') && !/\$\{\w+(?:[-+?#%/]|:\?)/.test(source))
  .map(([, source = '']) => source);
const values = 'ENV A=apple E= P=/usr/local/bin:/usr/bin:/bin F=a/b.tar.gz S="two  words"';

const dockerfiles: [string, string][] = [
  ['expansions in labels', [values, ...expansions.map((source, index) => `LABEL c${index}=${source}`)].join('\n')],
  [
    'expansions in the environment',
    [values, ...expansions.map((source, index) => `ENV C${index}=${source}`)].join('\n'),
  ],
  [
    'pairs',
    'ENV a=b c="d e" f=g\\ h \\\n  # note\n  i=\'j k\' \\\n  l=\nENV old some  value  here\nLABEL "x y"=z q="a\\"b" r=\'a"b\'',
  ],
  ['one ENV sees what was before it', 'ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc'],
  ['ARG and ENV', 'ARG A=1\nARG B\nARG C=$A.2\nENV A=3\nARG A=4\nENV X=$A-$B-$C'],
  ['ports and volumes', 'ENV P=80\nEXPOSE $P 53/udp 8000-8002/tcp\nVOLUME /a /b\nVOLUME ["/c d", "/e"]'],
  ['commands', 'ENTRYPOINT ["a", "b \\"c\\""]\nCMD x "y z" $HOME'],
  ['a list that is none', "CMD ['a', 'b']"],
  ['places', 'WORKDIR /a\nWORKDIR b\nENV D=/c\nWORKDIR $D/e\nUSER 1:2\nSTOPSIGNAL SIGINT'],
  ['another shell', 'SHELL ["/bin/x", "-c"]\nCMD y'],
  ['the backtick', '# escape=`\nFROM scratch\nENV A=1 `\n  B=`$A C="c:\\d"'],
  ['lines', 'ENV A=1\\\n2 \\\n\\\n B=\\\\\nLABEL \\\n# note\n\\\n a=b'],
  ['cases of keywords', 'env a=b\nLaBeL c=d'],
  ['a global argument', 'ARG V=1\nFROM scratch AS one\nENV A=$V\nFROM scratch\nARG V\nENV A=<$V>'],
];

/** Where a peer is meant to differ, and why. */
const differs: Record<string, Record<string, string>> = {
  buildah: {
    'expansions in labels': 'it leaves the second "$" of "$$"',
    'expansions in the environment': 'the same',
    'ports and volumes': 'it keeps a range as one name',
    'another shell': 'it drops SHELL from images of the OCI kind',
    'the backtick': 'its variables know one escape only',
    lines: 'it lets an escaped escape continue a line',
  },
  BuildKit: { 'ARG and ENV': 'a later ARG wins there; Docker documents that ENV does' },
};

const files = [
  'a.go',
  'a.md',
  'b/a.go',
  'b/a.md',
  'b/c/a.go',
  'b/c/README.md',
  'README.md',
  'temp',
  'b/temp1',
  'keep/x/y',
  'c++/z',
];
const ignores = [
  '*.md\n!README.md',
  '**/*.md\n!**/README.md',
  '*\n!b',
  '*/temp*\ntemp?',
  'b\n!b/c',
  '/b/c/\n./keep/../temp',
  'keep/x\n**/c',
  '# b\n  a.go  ',
  'b/**\n!b/a.md',
  '[ab].go',
];

describe.skipIf(whyNoContainers() || (!hasDocker && !hasBuildah))('beside other builders', () => {
  const here = createInstallation();
  const directory = mkdtempSync(join(tmpdir(), 'gantry-peers-'));
  const context = join(directory, 'context');
  const storage = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--storage-driver', 'vfs'];
  let docker: Docker | undefined;

  const write = (path: string, content: string): void => {
    mkdirSync(dirname(join(context, path)), { recursive: true });
    writeFileSync(join(context, path), content);
  };
  const run = async (command: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<string> => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 64 << 20 };
    const { stdout } = await promisify(execFile)(command, args, options).catch((error: Error & { stderr?: string }) => {
      throw new Error(`${command} ${args.join(' ')}: ${error.stderr?.slice(-1000) || error}`);
    });
    return stdout;
  };

  /** Builders: name → what an image of the context is. */
  const peers = (
    [
      ['BuildKit', hasDocker, () => withDocker('1')],
      ['the classic builder', hasDocker, () => withDocker('0')],
      ['buildah', hasBuildah, withBuildah],
    ] as [string, boolean, () => Promise<Built>][]
  ).filter(([, present]) => present);
  /** The context by all of them at once, gantry first. */
  const builtByAll = async (): Promise<[Built, [string, Built][]]> => {
    const theirs = Promise.all(peers.map(async ([name, , build]): Promise<[string, Built]> => [name, await build()]));
    const [mine, found] = await Promise.all([withGantry(), theirs]);
    return [mine, found];
  };

  async function withDocker(buildkit: '0' | '1'): Promise<Built> {
    const env = { DOCKER_HOST: docker!.host, DOCKER_BUILDKIT: buildkit };
    const tag = `peer${buildkit}`;
    await run(CLIENT, ['build', '-q', '-t', tag, context], env);
    const config = JSON.parse(await run(CLIENT, ['inspect', '-f', '{{json .Config}}', tag], env)) as Config;
    const archive = join(directory, `${tag}.tar`);
    await run(CLIENT, ['save', '-o', archive, tag], env);
    return { config, files: await namesIn(archive) };
  }

  async function withBuildah(): Promise<Built> {
    await run('buildah', [...storage, 'bud', '-q', '--isolation', 'chroot', '-t', 'peer', context]);
    const found = JSON.parse(await run('buildah', [...storage, 'inspect', '--type', 'image', 'peer'])) as {
      Docker: { config: Config };
    };
    const archive = join(directory, 'buildah.tar');
    rmSync(archive, { force: true });
    await run('buildah', [...storage, 'push', '-q', 'peer', `docker-archive:${archive}`]);
    return { config: found.Docker.config, files: await namesIn(archive) };
  }

  async function withGantry(): Promise<Built> {
    await here.ok('build', '-q', '-t', 'peer', context);
    const [image] = JSON.parse(await here.ok('image', 'inspect', 'peer')) as { Config: Config }[];
    const archive = join(directory, 'own.tar');
    await here.ok('save', '-o', archive, 'peer');
    return { config: image!.Config, files: await namesIn(archive) };
  }

  /** Files of all layers of a saved image. */
  async function namesIn(archive: string): Promise<string[]> {
    const place = mkdtempSync(join(directory, 'saved-'));
    await run('tar', ['-x', '-C', place, '-f', archive]);
    const [manifest] = JSON.parse(readFileSync(join(place, 'manifest.json'), 'utf8')) as { Layers: string[] | null }[];
    const lists: string[] = [];
    for (const layer of manifest!.Layers ?? []) lists.push(await run('tar', ['-t', '-f', join(place, layer)]));
    const names = lists.flatMap((list) => list.split('\n'));
    rmSync(place, { recursive: true });
    return [...new Set(names.map((name) => name.replace(/^\.?\//, '')))].filter((name) => /[^/]$/.test(name)).sort();
  }

  beforeAll(async () => {
    if (!hasDocker) return;
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    docker = await startDocker(archive, console.log, { inMemory: true });
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    expect(docker, 'dockerd does not start').toBeDefined();
  });
  afterAll(async () => {
    await here.close();
    await docker?.close();
    rmSync(directory, { recursive: true });
  });

  it.each(dockerfiles)('%s', async (what, text) => {
    rmSync(context, { recursive: true, force: true });
    write('f', 'f\n');
    write(
      'Dockerfile',
      `${/^(#|ARG|FROM)/.test(text) && text.includes('FROM') ? text : `FROM scratch\n${text}`}\nCOPY f /f\n`,
    );
    const [{ config }, theirs] = await builtByAll();
    for (const [name, built] of theirs) {
      const found = [name, comparable(built.config)];
      // A difference that is gone is to be struck off.
      if (differs[name]?.[what] !== undefined) expect(found).not.toEqual([name, comparable(config)]);
      else expect(found).toEqual([name, comparable(config)]);
    }
  });

  it.each(ignores)('.dockerignore %j', async (text) => {
    rmSync(context, { recursive: true, force: true });
    for (const path of files) write(path, path);
    write('.dockerignore', text);
    write('Dockerfile', 'FROM scratch\nCOPY . /\n');
    const [mine, theirs] = await builtByAll();
    const known = (built: Built): string[] => built.files.filter((name) => files.includes(name));
    for (const [name, built] of theirs) expect([name, known(built)]).toEqual([name, known(mine)]);
  });
});
