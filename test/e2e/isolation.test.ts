// --isolation: what runs a container, and what is refused.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, type Installation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const reason = whyNoContainers();
if (reason) console.log(`Isolation is not tested: ${reason}`);

describe.skipIf(reason)('--isolation', () => {
  let here: Installation;
  beforeAll(() => {
    here = createInstallation();
  });
  afterAll(() => here.close());

  it('process and default are what runs without it; inspect and ps tell which', async () => {
    for (const [isolation, told] of [
      ['process', 'process'],
      ['default', ''],
    ]) {
      await here.ok('run', '--name', isolation!, '--isolation', isolation!, 'gantry/hello');
      expect(await here.ok('inspect', '-f', '{{.HostConfig.Isolation}}', isolation!)).toBe(told);
      const listed = await here.ok('ps', '-a', '--filter', `isolation=${isolation}`, '--format', '{{.Names}}');
      expect(listed).toBe(isolation);
    }
  });

  it('refuses what is no isolation, and what this engine has no backend for, with each one that it knows', async () => {
    expect(await here.gantry('run', '--isolation', 'hyperv', 'gantry/hello')).toMatchObject({
      status: 125,
      stderr: expect.stringMatching(/Cannot isolate by "hyperv"[\s\S]*Hint: One of default, process, vm, wasm/),
    });
    expect(await here.gantry('run', '--isolation', 'vm', 'gantry/hello')).toMatchObject({
      status: 125,
      stderr: expect.stringMatching(
        /Cannot isolate by "vm"; process: [\s\S]*vm: [\s\S]*Hint: Start the engine with GANTRY_B/,
      ),
    });
  });
});
