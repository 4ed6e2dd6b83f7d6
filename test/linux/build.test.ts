// What instructions make of an image's files and configuration, felt in containers of it.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { type BuildAnswer, type BuildOptions, build, cachedSteps } from '../helpers/builds.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { makeTar } from '../helpers/tar.ts';

describe.skipIf(whyNoContainers())('a build', () => {
  const here = createInstallation();
  const made = (dockerfile: string, options: BuildOptions = {}): Promise<BuildAnswer> =>
    build(here.socket, dockerfile, { ...options, query: { t: 'made', ...options.query } });
  /** What a shell in the image says. */
  const within = async (dockerfile: string, script: string, options: BuildOptions = {}): Promise<string> => {
    const { error } = await made(dockerfile, options);
    if (error !== '') throw new Error(error);
    return here.ok('run', '--rm', '--network', 'none', 'made', 'sh', '-c', script);
  };

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('says once of --cache-from that it is not used, and refuses what is no list', async () => {
    const { text, error } = await made('FROM box\n', { query: { cachefrom: '["box","far:1"]' } });
    expect(error).toBe('');
    expect(text.match(/\[Warning\] "box", "far:1" were not used as a cache: /g)).toHaveLength(1);
    expect((await made('FROM box\n', { query: { cachefrom: '[]' } })).text).not.toContain('Warning');
    expect(await made('FROM box\n', { query: { cachefrom: '"box"' } })).toMatchObject({ status: 400 });
  });

  describe('copies', () => {
    const files = { 'a.txt': 'a\n', 'b.txt': 'b\n', 'd/e/f': 'f\n', 'd/g': 'g\n' };
    it.each([
      ['a file to a name', 'COPY a.txt /x/y', 'cat /x/y', 'a'],
      ['a file into a directory that is there', 'COPY a.txt /tmp', 'cat /tmp/a.txt', 'a'],
      ['a file into a new directory', 'COPY a.txt /new/', 'cat /new/a.txt', 'a'],
      ['the contents of a directory', 'COPY d /x', 'cd /x; find . | sort | tr "\\n" " "', '. ./e ./e/f ./g '],
      ['by wildcard', 'COPY *.txt /x/', 'ls /x', 'a.txt\nb.txt'],
      ['by set and question mark', 'COPY [ab].tx? /x/', 'ls /x', 'a.txt\nb.txt'],
      ['relative to the working directory', 'WORKDIR /w/v\nCOPY a.txt ./', 'pwd; ls', '/w/v\na.txt'],
      [
        'through a link of the image',
        'RUN ln -s /tmp/real /link && mkdir /tmp/real\nCOPY a.txt /link/',
        'ls /tmp/real',
        'a.txt',
      ],
      ['through a link that leads out', 'RUN ln -s ../../../tmp /link\nCOPY a.txt /link/', 'ls /tmp', 'a.txt'],
      ['names of the image', 'COPY --chown=user:extra a.txt /x', 'stat -c "%u:%g" /x', '1000:2000'],
      ['a user alone with its own group', 'COPY --chown=user a.txt /x', 'stat -c "%u:%g" /x', '1000:1000'],
      ['a number for both', 'COPY --chown=77 d /x', 'stat -c "%u:%g" /x /x/e/f', '77:77\n77:77'],
      ['modes', 'COPY --chmod=751 a.txt /x', 'stat -c %a /x', '751'],
      ['modes as letters', 'COPY --chmod=u=rwX,go=rX d /x', 'stat -c %a /x/e /x/e/f', '755\n644'],
      [
        'all but what is left out',
        'COPY --exclude=*.txt --exclude=d/e . /x/',
        'cd /x; find . -type f | sort',
        './Dockerfile\n./d/g',
      ],
      [
        'all but what is left out',
        'COPY --exclude=*.txt --exclude=d/e . /x/',
        'cd /x; find . -type f | sort',
        './Dockerfile\n./d/g',
      ],
      [
        'no Dockerfile that is ignored',
        'COPY . /x/',
        'ls -A /x',
        'a',
        { a: '', '.dockerignore': 'Dockerfile\n.dockerignore\n' },
      ],
      ['with parents', 'COPY --parents d/./e/f a.txt /x/', 'cd /x; find . -type f | sort', './a.txt\n./e/f'],
      ['a heredoc', 'COPY <<END /x\n$PATH \\$PATH\nEND', 'cat /x', '/bin $PATH'],
      ['a quoted heredoc', 'COPY <<"END" /x/\n$PATH\nEND', 'cat /x/END', '$PATH'],
      [
        'between stages',
        'RUN echo s > /s && chown 5:6 /s\nFROM box\nCOPY --from=0 /s /t',
        'cat /t; stat -c "%u:%g" /t',
        's\n5:6',
      ],
      [
        'what a link in a stage leads to',
        'RUN echo s > /s && ln -s /s /l\nFROM box\nCOPY --from=0 /l /t',
        'cat /t; stat -c %F /t',
        's\nregular file',
      ],
      [
        'by wildcard from a stage',
        'RUN mkdir /s && touch /s/1 /s/2 /s/x\nFROM box\nCOPY --from=0 /s/[0-9] /t/',
        'ls /t',
        '1\n2',
      ],
      ['from an image', 'COPY --from=box /etc/passwd /t', 'grep -c root /t', '1'],
    ] as [string, string, string, string, Record<string, string>?][])(
      '%s',
      async (_what, instructions, script, expected, own = files) => {
        expect(await within(`FROM box\n${instructions}\n`, script, { files: own })).toBe(expected);
      },
    );

    it('keeping what a directory of the image is', async () => {
      const dockerfile =
        'FROM box\nRUN mkdir -m 1750 /d && chown 3:4 /d && touch -d "2001-02-03 00:00:00" /d\nCOPY a.txt /d/\n';
      expect(await within(dockerfile, 'stat -c "%a %u:%g %Y" /d', { files })).toBe('1750 3:4 981158400');
    });

    it.each([
      ['COPY --link a.txt /link/', 'test -L /link || ls /link; ls /real', 'a.txt'],
      ['COPY --link a.txt /d/', 'stat -c "%a %u:%g" /d; ls /d', '755 0:0\na.txt\nkept'],
      [
        'COPY --link --chown=user:extra --chmod=640 a.txt /n/x',
        'stat -c "%a %u:%g" /n /n/x',
        '755 1000:2000\n640 1000:2000',
      ],
      ['COPY --link a.txt /d/x\nCOPY --link b.txt /d/x\nCOPY --link a.txt /d/x', 'cat /d/x', 'a'],
      ['WORKDIR /w\nCOPY --link d e', 'cat /w/e/e/f', 'f'],
      ['COPY --link --from=box /etc/passwd /link/', 'ls /link; ls /real', 'passwd'],
      ['ADD --link in.tar /link/', 'ls /link; ls /real', 'inside'],
    ])('upon nothing: %s', async (instructions, script, expected) => {
      const base = 'FROM box\nRUN mkdir -m 1750 /real /d && touch /d/kept && chown 3:4 /d && ln -s /real /link\n';
      const all = [
        ...Object.entries(files).map(([name, content]) => ({ name, content })),
        { name: 'in.tar', content: makeTar([{ name: 'inside', content: 'x\n' }]) },
      ];
      expect(await within(`${base}${instructions}\n`, script, { files: all })).toBe(expected);
    });

    it('from the cache, whatever is below, where they are linked', async () => {
      const steps = (link: string): string =>
        [
          `COPY ${link} a.txt /linked/1`,
          `ADD ${link} d /linked/2`,
          `COPY ${link} --from=box /etc/passwd /linked/3`,
          `COPY ${link} --chown=user a.txt /linked/4`,
        ].join('\n');
      const after = async (run: string, link: string, user = 'user:x:1000:1000'): Promise<number> =>
        cachedSteps(
          await made(`FROM box\nRUN echo ${run} > /below; echo ${user}::/: > /etc/passwd\n${steps(link)}\n`, { files }),
        );
      await after('1', '--link');
      expect(await after('2', '--link')).toBe(4);
      expect(await here.ok('run', '--rm', '--network', 'none', 'made', 'cat', '/below', '/linked/1')).toBe('2\na');
      // Whom a name means is the image's word.
      expect(await after('3', '--link', 'user:x:1001:1001')).toBe(3);
      expect(await here.ok('run', '--rm', '--network', 'none', 'made', 'stat', '-c', '%u', '/linked/4')).toBe('1001');
      await after('4', '');
      expect(await after('5', '')).toBe(0);
    });

    it.each([
      ['a directory over a file', 'COPY d /etc/passwd', 'INVALID_ARGUMENT', /is no directory/],
      ['several to a name', 'COPY a.txt b.txt /x', 'INVALID_ARGUMENT', /must be a directory and end with a \//],
      ['for nobody', 'COPY --chown=nosuch a.txt /x', 'INVALID_ARGUMENT', /unable to find user nosuch/],
      ['what leads out', 'COPY ../../etc/passwd /x', 'PATH_NOT_FOUND', /file not found in build context/],
      ['from nowhere', 'COPY --from=box /nosuch /x', 'PATH_NOT_FOUND', /file not found in "box"/],
    ])('but not %s', async (_what, instruction, code, message) => {
      const answer = await made(`FROM box\n${instruction}\n`, { files });
      expect(answer.code, answer.error).toBe(code);
      expect(answer.error).toMatch(message);
    });

    it('no link of the context out of it', async () => {
      const evil = [
        { name: 'out', type: '2', link: '/etc' },
        { name: 'up', type: '2', link: '../../../../../../etc' },
        { name: '../../escaped', content: 'kept below\n' },
      ];
      for (const source of ['out/passwd', 'up/passwd'])
        expect((await made(`FROM box\nCOPY ${source} /x\n`, { files: evil })).error).toMatch(/file not found/);
      expect(await within('FROM box\nCOPY . /x/\n', 'readlink /x/out; cat /x/escaped', { files: evil })).toBe(
        '/etc\nkept below',
      );
    });
  });

  describe('adds', () => {
    const inner = makeTar([
      { name: 'top/', type: '5', mode: 0o700 },
      { name: 'top/file', content: 'unpacked\n', mode: 0o640 },
      { name: 'top/hard', type: '1', link: 'top/file' },
      { name: 'etc/passwd', content: 'replaced\n' },
      { name: 'bin2/x', content: 'through\n' },
    ]);
    const files = [{ name: 'x.tar', content: inner }];
    it.each([
      [
        'an archive unpacked',
        'ADD x.tar /t/',
        'cat /t/top/hard; stat -c "%a %h" /t/top /t/top/file',
        'unpacked\n700 2\n640 2',
      ],
      ['an archive with an owner', 'ADD --chown=3:4 x.tar /t/', 'stat -c "%u:%g" /t /t/top/file', '3:4\n3:4'],
      ['an archive over what is there', 'ADD x.tar /', 'cat /etc/passwd', 'replaced'],
      ['an archive through a link', 'RUN ln -s tmp /bin2\nADD x.tar /', 'cat /tmp/x', 'through'],
      ['an archive as it is', 'ADD --unpack=false x.tar /t', 'wc -c < /t', String(inner.length)],
      ['but does not unpack by COPY', 'COPY x.tar /t', 'wc -c < /t', String(inner.length)],
    ])('%s', async (_what, instructions, script, expected) => {
      expect(await within(`FROM box\n${instructions}\n`, script, { files })).toBe(expected);
    });

    it('no repository', async () => {
      const answer = await made('FROM box\nADD https://example.invalid/a/b.git /x\n');
      expect([answer.code, answer.error]).toEqual([
        'UNSUPPORTED',
        expect.stringMatching(/repositories are not fetched/),
      ]);
    });
  });

  describe('runs', () => {
    it.each([
      ['with arguments that no image keeps', 'ARG A=1\nRUN echo $A > /x', 'cat /x; echo "[$A]"', '1\n[]'],
      [
        'as a user, in the directory',
        'RUN chmod 1777 /tmp\nUSER user\nWORKDIR /tmp\nRUN id -u > x',
        'cat /tmp/x',
        '1000',
      ],
      ['without a shell', 'RUN ["sh", "-c", "echo $0 > /x", "zero"]', 'cat /x', 'zero'],
      ['with another shell', 'SHELL ["/bin/sh", "-ec"]\nRUN false || true; echo $- > /x', 'grep -c e /x', '1'],
      ['a heredoc', 'RUN <<END\necho one > /x\necho two >> /x\nEND', 'cat /x', 'one\ntwo'],
      ['a script', 'RUN <<END\n#!/bin/cat\nprinted\nEND\nRUN true', 'true', ''],
      ['without network', 'RUN --network=none ip link | grep -c ^[0-9] > /x', 'cat /x', '1'],
      [
        'removes what is below',
        'RUN rm /etc/group && rm -r /home',
        'ls /etc/group /home 2>&1 | grep -c "No such"',
        '2',
      ],
      [
        'with a tmpfs that stays out',
        'RUN --mount=type=tmpfs,target=/t touch /t/x && mount | grep -c " /t type tmpfs" > /y',
        'cat /y; ls -d /t 2>&1 | grep -c No',
        '1\n1',
      ],
      ['keeps what it writes into a volume', 'VOLUME /v\nRUN mkdir -p /v && echo kept > /v/x', 'cat /v/x', 'kept'],
    ])('%s', async (_what, instructions, script, expected) => {
      expect(await within(`FROM box\n${instructions}\n`, script)).toBe(expected);
    });

    it('with a cache that lasts, and is in no layer', async () => {
      const dockerfile = (n: number): string =>
        `FROM box\nRUN --mount=type=cache,id=c,target=/cache/deep,uid=7,mode=700 echo ${n} >> /cache/deep/log; cp /cache/deep/log /seen; stat -c "%u %a" /cache/deep >> /seen\n`;
      await made(dockerfile(1));
      expect(await within(dockerfile(2), 'cat /seen; ls -d /cache 2>&1 | grep -c No')).toBe('1\n2\n7 700\n1');
      const { body } = await engineCall(here.dataRoot, 'GET', '/system/df?type=build-cache');
      expect(body.toString()).toContain('exec.cachemount');
    });

    it('with a part of the context, of a stage, of an image', async () => {
      const dockerfile = `FROM box AS tools
RUN mkdir /t && echo tool > /t/x
FROM box
RUN --mount=target=/src,rw --mount=type=bind,from=tools,source=/t,target=/t --mount=from=box,source=/etc/passwd,target=/pw \\
  cat /src/a /t/x > /y && head -1 /pw >> /y && echo dropped > /src/new && ! touch /t/new 2>/dev/null
`;
      expect(await within(dockerfile, 'cat /y; ls -d /src /t /pw 2>&1 | grep -c No', { files: { a: 'a\n' } })).toBe(
        'a\ntool\nroot:x:0:0:root:/root:/bin/sh\n3',
      );
    });

    it('with secrets that nothing keeps', async () => {
      const secret = 'hush-hush-4711';
      const dockerfile =
        'FROM box\nRUN --mount=type=secret,id=s,uid=5,mode=0440 --mount=type=secret,id=s,env=TOKEN cut -c1-4 /run/secrets/s > /x && stat -c "%u %a" /run/secrets/s >> /x && mount | grep -c "tmpfs.*/run/secrets/s\\|/run/secrets/s.*tmpfs" >> /x; echo $TOKEN | wc -c >> /x\n';
      const preamble = { secrets: { s: Buffer.from(secret).toString('base64') } };
      expect(await within(dockerfile, 'cat /x; ls /run 2>&1 | grep -c .', { preamble })).toBe('hush\n5 440\n1\n15\n1');
      const { stdout } = await here.gantry('image', 'inspect', 'made');
      expect(stdout).not.toContain(secret);
      const missing = await made(dockerfile.replace('id=s,uid', 'id=other,required=true,uid'), { preamble });
      expect(missing.error).toMatch(/the secret "other"/);
      expect(JSON.stringify(missing)).not.toContain(secret);
    });

    it('with limits and hosts of the request', async () => {
      const query = {
        extrahosts: ['there:192.0.2.7'],
        shmsize: '1048576',
        memory: '67108864',
        ulimits: JSON.stringify([{ Name: 'nofile', Soft: 77, Hard: 88 }]),
        networkmode: 'none',
      };
      const script = 'grep -c 192.0.2.7 /etc/hosts; df -k /dev/shm | tail -1 | grep -c 1024; ulimit -n';
      expect(await within(`FROM box\nRUN sh -c '${script}' > /x\n`, 'cat /x', { query })).toBe('1\n1\n77');
    });
  });

  it('carries out triggers of its base, once', async () => {
    await made('FROM box\nONBUILD COPY a /a\nONBUILD RUN cat /a > /b\n', { query: { t: 'parent' } });
    const { text } = await made('FROM parent\nRUN cat /b > /c\n', { files: { a: 'late\n' } });
    expect(text).toMatch(/Step 1\/2 : FROM parent\n(.*\n)*# Executing 2 build triggers\n/);
    expect(await here.ok('run', '--rm', 'made', 'cat', '/c')).toBe('late');
    expect(await here.ok('inspect', '-f', '{{json .Config.OnBuild}}', 'made')).toBe('null');
  });

  it('is the same image twice where a time is given', async () => {
    const dockerfile = 'FROM box\nARG SOURCE_DATE_EPOCH\nRUN echo 1 > /x; mkdir /d\nCOPY a /a\nWORKDIR /w\nLABEL a=b\n';
    const query = { buildargs: JSON.stringify({ SOURCE_DATE_EPOCH: '1000000000' }), nocache: '1' };
    const [first, second] = [
      await made(dockerfile, { files: { a: 'a' }, query }),
      await made(dockerfile, { files: { a: 'a' }, query }),
    ];
    expect(first.id).toMatch(/^sha256:/);
    expect(second.id).toBe(first.id);
    expect(await here.ok('inspect', '-f', '{{.Created}}', 'made')).toMatch(/^2001-09-09T01:46:40/);
    expect(await here.ok('run', '--rm', 'made', 'stat', '-c', '%Y', '/x', '/d', '/w')).toBe(
      '1000000000\n1000000000\n1000000000',
    );
  });

  it('does the steps again that depend on what has changed', async () => {
    const dockerfile = (label: string, run: string): string =>
      `FROM box\nLABEL a=${label}\nARG V\nRUN ${run}\nCOPY d /d\nRUN ls /d\n`;
    const again = async (label: string, run: string, content: string, V: string): Promise<number> =>
      cachedSteps(
        await made(dockerfile(label, run), { files: { 'd/x': content }, query: { buildargs: JSON.stringify({ V }) } }),
      );
    expect(await again('1', 'echo $V-1 > /1', 'a', '1')).toBe(0);
    expect(await again('1', 'echo $V-1 > /1', 'a', '1')).toBe(3);
    expect(await again('2', 'echo $V-1 > /1', 'a', '1')).toBe(3);
    expect(await again('2', 'echo $V-1 > /1', 'b', '1')).toBe(1);
    expect(await again('2', 'echo $V-1 > /1', 'b', '2')).toBe(0);
    expect(await again('2', 'echo $V-2 > /2', 'b', '2')).toBe(0);
  });
});
