// `docker build` of docker's own client, with its classic builder's words: what it prints, what it makes, what it leaves.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dockerShell, whyNoDockerClient } from '../helpers/docker-client.ts';

describe.skipIf(whyNoDockerClient())("docker's client builds", () => {
  const { env, ok, sh, checks } = dockerShell();
  env.DOCKER_BUILDKIT = '0';

  /** A directory of the shell's home with these files. */
  const context = (name: string, files: Record<string, string>): void => {
    for (const [path, text] of Object.entries(files)) {
      const file = join(env.HOME!, name, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
  };

  it('a Dockerfile step by step, and from the cache the second time', async () => {
    context('app', {
      Dockerfile:
        'FROM box\nENV A=1\nWORKDIR /app\nCOPY a.txt d /app/\nRUN echo "building $A" && cat a.txt > out\nCMD ["cat", "/app/out"]\n',
      'a.txt': 'hello\n',
      'd/x': 'x\n',
    });
    const first = await ok('docker build -t app:1 -t app:2 app');
    expect(first).toMatch(
      /Step 1\/6 : FROM box\n ---> [0-9a-f]{12}\nStep 2\/6 : ENV A=1\n ---> [0-9a-f]{12}\n(?:.*\n)*Step 5\/6 : RUN echo .*\n ---> Running in ([0-9a-f]{12})\nbuilding 1\n ---> Removed intermediate container \1\n ---> [0-9a-f]{12}\nStep 6\/6 : CMD .*\n ---> ([0-9a-f]{12})\nSuccessfully built \2\nSuccessfully tagged app:1\nSuccessfully tagged app:2$/,
    );
    expect(await ok('docker run --rm app:1; docker run --rm app:2 ls /app')).toBe('hello\na.txt\nout\nx');
    const second = await ok('docker build -t app:1 app');
    expect(second.match(/Using cache/g)).toHaveLength(3);
    expect(/Successfully built (.*)/.exec(second)![1]).toBe(/Successfully built (.*)/.exec(first)![1]);
    expect(await ok('docker ps -aq; docker images -q app | sort -u | wc -l')).toBe('1');
  });

  it('again what a changed file leads to, but not for a changed time', async () => {
    await ok('touch -d 2001-01-01 app/a.txt');
    expect((await ok('docker build app')).match(/Using cache/g)).toHaveLength(3);
    await ok('chmod 600 app/a.txt');
    expect((await ok('docker build app')).match(/Using cache/g)).toHaveLength(1);
    await ok('echo other > app/d/x');
    expect((await ok('docker build app')).match(/Using cache/g)).toHaveLength(1);
    expect(await ok('docker build --no-cache app')).not.toContain('Using cache');
  });

  it('nothing where a command fails, and says which', async () => {
    context('bad', { Dockerfile: 'FROM box\nRUN echo before; exit 3\nRUN echo never\n' });
    const { status, stdout, stderr } = await sh('docker build -t bad bad');
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: expect.stringContaining("The command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3"),
    });
    expect(stdout).toContain('before\n');
    expect(stdout).not.toContain('never');
    expect(await ok('docker images -q bad; docker ps -aq')).toBe('');
  });

  checks([
    ['quietly', 'docker build -q app', /^sha256:[0-9a-f]{64}$/],
    ['a Dockerfile from standard input', 'echo "FROM box" | docker build -q -', /^sha256:[0-9a-f]{64}$/],
    [
      'a tar from standard input, compressed',
      'tar -cz -C app . | docker build -q -t piped - && docker run --rm piped',
      /^sha256:[0-9a-f]{64}\nhello$/,
    ],
    [
      'with another name of the Dockerfile',
      'cp app/Dockerfile app/Other && docker build -q -f app/Other app',
      /^sha256:/,
    ],
    [
      'only the target and what it needs',
      `mkdir -p multi && cat > multi/Dockerfile <<'END'
FROM box AS base
RUN mkdir /made && echo one > /made/file
FROM base AS broken
RUN exit 9
FROM scratch AS final
COPY --from=base --chown=7:8 /made /
FROM final
RUN never
END
docker build -q --target final -t final multi && docker save final | tar -xO --wildcards 'blobs/*' 2>/dev/null | tr -d '\\0' | grep -ao 'one' | head -1`,
      /^sha256:[0-9a-f]{64}\none$/,
    ],
    [
      'with arguments, labels and a context that ignores',
      `mkdir -p args/node_modules && echo big > args/node_modules/x && echo node_modules > args/.dockerignore && cat > args/Dockerfile <<'END'
ARG BASE=nothing
FROM $BASE
ARG WHO=nobody
COPY . /src
RUN echo "$WHO" > /who; ls -A /src > /list
END
docker build -q --build-arg BASE=box --build-arg WHO=me --label a=b -t args args >/dev/null &&
docker run --rm args sh -c 'cat /who /list' && docker inspect -f '{{json .Config.Labels}} {{json .Config.Env}}' args`,
      'me\n.dockerignore\nDockerfile\n{"a":"b"} ["PATH=/bin"]',
    ],
    [
      'and refuses a wrong instruction with its line',
      'printf "FROM box\\nRUM true\\n" | docker build -',
      { status: 1, err: /dockerfile parse error on line 2: unknown instruction: RUM \(did you mean RUN\?\)/ },
    ],
    [
      'and refuses a missing file',
      'printf "FROM box\\nCOPY nothing /\\n" > app/Missing && docker build -f app/Missing app',
      { status: 1, err: /COPY failed: file not found in build context or excluded by \.dockerignore: stat nothing/ },
    ],
    [
      'and refuses BuildKit with the way out',
      'echo FROM box | DOCKER_BUILDKIT=1 docker build - 2>&1 | tail -3',
      /DOCKER_BUILDKIT=0|buildx/,
    ],
    [
      'and prunes the cache',
      'docker builder prune -af | tail -1 && docker system df --format "{{.Type}} {{.TotalCount}}" | tail -1',
      /^Total.*\nBuild Cache 0$/,
    ],
  ]);
});
