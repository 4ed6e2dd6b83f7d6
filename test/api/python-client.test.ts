// Docker's Python client, and what docker-compose 1 builds on, against an engine.
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const hasClient = spawnSync('python3', ['-c', 'import docker']).status === 0;
if (!hasClient) console.log("Docker's Python client is not tested: python3-docker is not installed");

describe.skipIf(whyNoContainers() || !hasClient)("docker's Python client", () => {
  const here = createInstallation();
  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('works unchanged', () => {
    const script = join(import.meta.dirname, '../fixtures/python-client.py');
    const said = execFileSync('python3', [script, here.socket], { encoding: 'utf8', env: here.env });
    expect(said.trimEnd().split('\n')).toEqual([
      'ping True',
      expect.stringMatching(/^version 1\.51 1\.\d+$/),
      "run b'hi\\n'",
      "state running ['80/tcp'] 67108864",
      "exec ExecResult(exit_code=3, output=b'out\\n')",
      "demux ExecResult(exit_code=0, output=(b'out\\n', b'err\\n'))",
      'put True',
      'get put 3 True',
      'stats /python',
      'top UID',
      "list ['python']",
      'wait 137',
      expect.stringContaining('absent No such container: renamed'),
      expect.stringContaining('no image No such image: absent-image'),
      "images [['box:latest']]",
      "volumes ['pythons']",
      'events create',
    ]);
  });
});
