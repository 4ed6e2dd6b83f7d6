// The dev container CLI drives the engine through docker's client: up, the commands after creation, exec, and up again.
import { join } from 'node:path';
import { beforeAll, describe } from 'vitest';
import { dockerShell, whyNoDockerClient } from '../helpers/docker-client.ts';

const program = join(import.meta.dirname, '../../node_modules/@devcontainers/cli/devcontainer.js');

const CONFIG = {
  name: 'work',
  image: 'box',
  workspaceFolder: '/work',
  workspaceMount: `source=\${localWorkspaceFolder},target=/work,type=bind`,
  mounts: ['source=cache,target=/cache,type=volume'],
  containerEnv: { IN_CONTAINER: 'container' },
  remoteEnv: { IN_REMOTE: 'remote' },
  runArgs: ['--label', 'mine=yes', '--memory', '128m'],
  onCreateCommand: 'echo created > /cache/log',
  postCreateCommand: 'echo after >> /cache/log',
  overrideCommand: true,
  updateRemoteUserUID: false,
};

describe.skipIf(whyNoDockerClient())('the dev container CLI', () => {
  const { checks, ok } = dockerShell();

  beforeAll(() =>
    ok(`mkdir -p project/.devcontainer; echo source > project/main; cat > project/.devcontainer/devcontainer.json <<'END'
${JSON.stringify(CONFIG)}
END`),
  );

  const cli = (command: string, rest = ''): string =>
    `"${process.execPath}" "${program}" ${command} --workspace-folder project ${rest}`;
  checks([
    [
      'up',
      `${cli('up')} 2>log || { cat log >&2; exit 1; }; docker ps --filter label=mine=yes --format "{{.Image}}"`,
      /^\{"outcome":"success","containerId":"[0-9a-f]{64}",.*"remoteWorkspaceFolder":"\/work".*\}\nbox$/,
    ],
    ['has run the commands of the configuration', cli('exec', 'cat /cache/log 2>/dev/null'), 'created\nafter'],
    [
      'exec in the workspace, with both environments',
      cli('exec', `sh -c 'echo $IN_CONTAINER $IN_REMOTE $PWD; cat main' 2>/dev/null`),
      'container remote /work\nsource',
    ],
    ['exec with a status', cli('exec', `sh -c 'exit 5' 2>/dev/null`), { status: 5 }],
    [
      'up again finds the same container',
      `${cli('up')} 2>/dev/null | grep -o '"containerId":"[^"]*"' | cut -d'"' -f4 > id; docker ps -q --no-trunc --filter label=mine=yes | diff - id && echo same`,
      'same',
    ],
    [
      'up makes it anew where it is asked to',
      `${cli('up', '--remove-existing-container')} 2>/dev/null | grep -o '"containerId":"[^"]*"' | cut -d'"' -f4 | diff -q - id; docker ps -q --filter label=mine=yes | wc -l`,
      /differ\n1$/,
    ],
    [
      'up with a Dockerfile, which it builds',
      `printf 'FROM box\\nRUN echo built > /made\\n' > project/.devcontainer/Dockerfile; echo '{"build":{"dockerfile":"Dockerfile"}}' > project/.devcontainer/devcontainer.json; DOCKER_BUILDKIT=0 ${cli('up', '--remove-existing-container --buildkit never')} 2>log || { cat log >&2; exit 1; }; ${cli('exec', 'cat /made 2>/dev/null')}`,
      /"outcome":"success"[\s\S]*built$/,
    ],
  ]);
});
