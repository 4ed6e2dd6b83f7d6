// Python's docker package (Debian's python3-docker) drives the engine: fixtures/docker-py.py, class by class.
import { execFile, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const script = join(import.meta.dirname, '../fixtures/docker-py.py');

/** Debian's: another python in the path has not its packages. */
const python = '/usr/bin/python3';
const found = spawnSync(python, ['-c', 'import docker']).status === 0;
if (!found) console.log('docker-py is not tested: python3-docker is not installed');

describe.skipIf(whyNoContainers() || !found)('docker-py', () => {
  const here = createInstallation();

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await here.ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it.each(['Containers', 'Streams', 'Objects', 'Errors'])('%s', async (name) => {
    const env = { ...here.env, DOCKER_HOST: `unix://${here.socket}`, PYTHONDONTWRITEBYTECODE: '1' };
    // A failure's text is what unittest writes to standard error.
    await promisify(execFile)(python, ['-W', 'ignore', script, name], { env, timeout: 100_000 });
  });
});
