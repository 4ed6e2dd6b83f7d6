// The same Dockerfiles by docker's own engine (its classic builder) and by gantry: configuration and every file of the images are
// compared there, where gantry's comes by save and load. What is meant to differ is listed with its reason.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTar } from '../../host/build/files/read-tar.ts';
import { type Docker, startDocker } from '../bench/docker.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { makeTar } from '../helpers/tar.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
const why =
  whyNoContainers() || (existsSync('/usr/sbin/dockerd') && client ? '' : 'dockerd and its client are not installed');
if (why) console.log(`Builds are not compared with docker's engine: ${why}`);

const archive = makeTar([
  { name: 'in/', type: '5', mode: 0o750 },
  { name: 'in/file', content: 'archived\n', mode: 0o604 },
  { name: 'in/link', type: '2', link: 'file' },
]);

const context: Record<string, string | Buffer> = {
  'a.txt': 'a\n',
  'b.txt': 'b\n',
  empty: '',
  'dir/one': '1\n',
  'dir/sub/two': '2\n',
  'dir/sub/.hidden': 'h\n',
  'ignored/x': 'x\n',
  '.dockerignore': 'ignored\n*.log\n!keep.log\n',
  'drop.log': 'drop\n',
  'keep.log': 'keep\n',
  'archive.tar': archive,
  'script.sh': '#!/bin/sh\necho ran "$@"\n',
  'sp ace': 'blank\n',
};

/** Behind "FROM box", where it does not begin with FROM or ARG. */
const dockerfiles: [string, string][] = [
  ['FROM alone', 'LABEL only=this'],
  [
    'ENV in both forms',
    `ENV A=1 B="two words" C='$A'\nENV D some $A text\nENV E=\${A:-x} F=\${NONE:-y} G=\${A:+z} H=a\\ b`,
  ],
  ['LABEL', 'LABEL a=b "c d"="e f" multi="x\\\ny"\nLABEL a=again'],
  ['CMD in both forms', 'CMD ["echo", "$HOME"]'],
  ['CMD for the shell', 'CMD echo "$HOME" && true'],
  ["ENTRYPOINT takes the base's CMD", 'ENTRYPOINT ["echo", "x"]'],
  ['ENTRYPOINT behind CMD', 'CMD ["y"]\nENTRYPOINT ["echo", "x"]'],
  ['ENTRYPOINT for the shell', 'ENTRYPOINT exec top -b'],
  ['EXPOSE', 'EXPOSE 80 443/tcp 53/udp 8000-8002'],
  ['USER, WORKDIR', 'USER user:extra\nWORKDIR /a\nWORKDIR b/c\nWORKDIR ./d'],
  ['WORKDIR with a variable', 'ENV P=/p\nWORKDIR $P/q\nRUN pwd > where'],
  ['VOLUME', 'VOLUME /v1 /v2\nVOLUME ["/v 3"]'],
  ['STOPSIGNAL, SHELL', 'STOPSIGNAL SIGINT\nSHELL ["/bin/sh", "-e", "-c"]\nRUN echo x > /x\nCMD echo y'],
  ['HEALTHCHECK', 'HEALTHCHECK --interval=5s --timeout=3s --start-period=1s --retries=2 CMD test -e /x'],
  ['HEALTHCHECK of words, then none', 'HEALTHCHECK CMD ["true"]\nHEALTHCHECK NONE'],
  ['ONBUILD', 'ONBUILD RUN echo later\nONBUILD COPY . /src'],
  ['MAINTAINER', 'MAINTAINER Some One <one@example.org>'],
  ['ARG', 'ARG A=default\nARG GIVEN\nRUN echo "$A $GIVEN" > /x\nENV A2=$A G2=$GIVEN'],
  ['ARG before FROM', `ARG BASE=box\nARG TAG\nFROM \${BASE}:\${TAG:-latest}\nARG BASE\nRUN echo "[$BASE] [$TAG]" > /x`],
  ['ENV wins over ARG', 'ARG A=arg\nENV A=env\nRUN echo $A > /x'],
  [
    'RUN',
    'RUN echo one > /x && mkdir -p /d/e && ln -s /x /d/l && ln /x /d/h && mkfifo /d/f && chmod 4711 /x && chown 5:6 /d',
  ],
  ['RUN removes', 'RUN rm -r /home /etc/group && mkdir /home && echo new > /home/x'],
  ['RUN of words', 'RUN ["sh", "-c", "echo \\"$0\\" > /x", "zero"]'],
  ['RUN as a user', 'RUN chmod 1777 /tmp\nUSER 1000\nRUN echo x > /tmp/x && id > /tmp/id'],
  ['RUN with comments and continuations', 'RUN echo one \\\n  # a comment\n  two \\\n\n  three > /x'],
  ['COPY a file', 'COPY a.txt /x'],
  ['COPY into a directory', 'COPY a.txt b.txt /x/y/'],
  ['COPY a directory', 'COPY dir /x'],
  ['COPY by wildcard', 'COPY *.txt d*/s* /x/'],
  ['COPY everything that is not ignored', 'COPY . /all/'],
  ['COPY to the working directory', 'WORKDIR /w\nCOPY a.txt .\nCOPY dir ./dir\nCOPY b.txt c'],
  ['COPY with an owner', 'COPY --chown=user:extra dir /x\nCOPY --chown=11 a.txt /y/z'],
  ['COPY of names with blanks', 'COPY ["sp ace", "/x y/"]'],
  ['COPY through a link', 'RUN mkdir /real && ln -s real /link\nCOPY a.txt /link/\nCOPY dir /link/sub'],
  ['COPY over a file', 'RUN echo old > /x && chmod 600 /x && chown 7 /x\nCOPY a.txt /x'],
  ['COPY of an empty file', 'COPY empty /e/'],
  ['ADD unpacks', 'ADD archive.tar /x/\nADD a.txt /y'],
  [
    'stages',
    'FROM box AS one\nRUN mkdir /o && echo 1 > /o/f && chown 9:9 /o/f\nFROM box\nCOPY --from=one /o /p\nCOPY --from=0 /o/f /q/',
  ],
  ['stages upon stages', 'FROM box AS one\nENV A=1\nWORKDIR /w\nFROM one AS two\nRUN echo $A > x\nFROM two\nUSER user'],
  ['from scratch', 'FROM scratch\nCOPY a.txt /\nENV A=b\nCMD ["/a.txt"]'],
  ['a parser directive', '# escape=`\nFROM box\nRUN echo a `\n  b > /x\nENV W=C:\\dir'],
];

/** What is told of a configuration, and meant to be the same. */
const FIELDS =
  'User,ExposedPorts,Env,Cmd,Entrypoint,Volumes,WorkingDir,Labels,StopSignal,Healthcheck,OnBuild,Shell'.split(',');

type Files = Record<string, string>;

describe.skipIf(why)("beside docker's builder", () => {
  const here = createInstallation();
  const home = mkdtempSync(join(tmpdir(), 'gantry-peer-'));
  let docker: Docker | undefined;
  /** Asynchronous: a worker that is blocked for a minute is given up by the test runner. */
  const command = (program: string, args: string[], env: NodeJS.ProcessEnv, input?: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const child = spawn(program, args, { env, timeout: 60_000, killSignal: 'SIGKILL' });
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
      child.once('error', reject);
      child.once('close', (status, signal) => {
        if (status === 0) return resolve(Buffer.concat(out));
        const said = Buffer.concat([...err, ...out])
          .toString()
          .slice(0, 3000);
        reject(new Error(`${program} ${args.join(' ')}: ${signal ?? status}: ${said}`));
      });
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  const at = (host: string, args: string[], input?: Buffer): Promise<Buffer> =>
    command(client!, args, { ...here.env, HOME: home, DOCKER_HOST: host, DOCKER_BUILDKIT: '0' }, input);
  const own = (): string => `unix://${here.socket}`;

  beforeAll(async () => {
    const tree = busyboxTree();
    const box = makeArchive(tree, 'box:latest', { config: { Cmd: ['sh', '-c', 'base'] } });
    await here.ok('load', '-qi', box);
    docker = await startDocker(box, console.log, { inMemory: true });
    for (const path of [tree, box]) rmSync(path, { recursive: true });
    for (const [path, content] of Object.entries(context)) {
      mkdirSync(dirname(join(home, 'context', path)), { recursive: true });
      writeFileSync(join(home, 'context', path), content, { mode: path.endsWith('.sh') ? 0o755 : 0o640 });
    }
  });
  afterAll(async () => {
    await docker?.close();
    rmSync(home, { recursive: true, force: true });
    await here.close();
  });

  /** Every file of an image at docker's engine: kind, mode, owners, size or target, digest of the content. */
  const filesOf = async (image: string): Promise<Files> => {
    const id = (await at(docker!.host, ['create', image, 'x'])).toString().trim();
    try {
      const tar = await at(docker!.host, ['export', id]);
      const files: Files = {};
      const source = (async function* () {
        yield tar;
      })();
      for await (const { entry, content } of readTar(source, 'Cannot read the export')) {
        const { createHash } = await import('node:crypto');
        const hash = createHash('sha256');
        for await (const chunk of content()) hash.update(chunk);
        const { type, mode, uid, gid, size, link } = entry;
        files[entry.name.replace(/\/$/, '')] =
          `${type} ${mode.toString(8)} ${uid}:${gid} ${size} ${link} ${hash.digest('hex').slice(0, 12)}`;
      }
      return files;
    } finally {
      await at(docker!.host, ['rm', id]);
    }
  };
  const configOf = async (image: string): Promise<Record<string, unknown>> => {
    const [{ Config, Author, Architecture, Os }] = JSON.parse(
      (await at(docker!.host, ['image', 'inspect', image])).toString(),
    );
    const told = Object.fromEntries(FIELDS.map((field) => [field, Config[field] ?? null]));
    for (const [field, value] of Object.entries(told))
      if (value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0))
        told[field] = null;
    return { ...told, Author, Architecture, Os };
  };

  const bothOf = async (image: string): Promise<object> => {
    const [config, files] = await Promise.all([configOf(image), filesOf(image)]);
    return { config, files };
  };

  it.each(dockerfiles)('%s', { timeout: 120_000 }, async (_name, text) => {
    if (docker === undefined) return;
    const dockerfile = /^(#|FROM|ARG BASE)/.test(text) ? text : `FROM box\n${text}`;
    writeFileSync(join(home, 'context/Dockerfile'), `${dockerfile}\n`);
    const build = ['build', '-q', '--build-arg', 'GIVEN=given', '-f', join(home, 'context/Dockerfile')];
    const theirs = at(docker.host, [...build, '-t', 'theirs', join(home, 'context')]).then(() => bothOf('theirs'));
    const ours = at(own(), [...build, '-t', 'ours', join(home, 'context')])
      .then(() => at(own(), ['save', 'ours']))
      .then((saved) => at(docker!.host, ['load', '-q'], saved))
      .then(() => bothOf('ours'));
    expect(await ours).toEqual(await theirs);
  });

  it('and its images run there, and in podman', async () => {
    if (docker === undefined) return;
    writeFileSync(
      join(home, 'context/Dockerfile'),
      'FROM box\nCOPY script.sh /bin/\nENTRYPOINT ["script.sh"]\nCMD ["there"]\n',
    );
    await at(own(), ['build', '-q', '-t', 'runs', '-f', join(home, 'context/Dockerfile'), join(home, 'context')]);
    const saved = await at(own(), ['save', 'runs']);
    await at(docker.host, ['load', '-q'], saved);
    expect((await at(docker.host, ['run', '--rm', '--network', 'none', 'runs'])).toString()).toBe('ran there\n');
    if (!existsSync('/usr/bin/podman')) return console.log('podman is not installed: not tried there');
    // Podman takes no runroot of more than 50 characters.
    const root = mkdtempSync('/tmp/gantry-podman-');
    const podman = async (args: string[], input?: Buffer): Promise<string> => {
      // crun refuses a hybrid host: it runs in a mount namespace of its own without the v2 tree.
      const script = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec podman "$@"';
      const words = ['--root', root, '--runroot', join(root, 'run'), ...args];
      return (await command('unshare', ['-m', 'sh', '-c', script, 'sh', ...words], here.env, input)).toString();
    };
    const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1000:1000'];
    try {
      await podman(['load', '-q'], saved);
      expect(await podman(['run', '--rm', '--network', 'none', ...limits, 'runs', 'too'])).toBe('ran too\n');
    } finally {
      await podman(['rmi', '-af']);
      rmSync(root, { recursive: true, force: true });
    }
  });
});
