// The engine in a guest, driven by the command line out here: gantry as a distribution with cgroup v2 has it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Architecture } from './debian.ts';
import { type EngineGuest, startEngineGuest } from './engine-guest.ts';
import { engineLayerScenarios } from './engine-layers.ts';
import { engineLifeScenarios } from './engine-life.ts';
import { engineLimitScenarios } from './engine-limits.ts';
import { engineMountScenarios } from './engine-mounts.ts';
import { engineNetworkScenarios } from './engine-networks.ts';
import { whyNoGuest } from './guest.ts';

/** Node of this machine runs in the guest. */
const architecture: Architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

describe.skipIf(whyNoGuest(architecture))('gantry on cgroup v2', () => {
  let here: EngineGuest;

  beforeAll(async () => {
    here = await startEngineGuest(architecture);
  });

  afterAll(() => here?.guest.close());

  it('runs one container after the other, with and without a network', async () => {
    expect(await here.ok('run', '--rm', 'gantry/hello')).toMatch(/eth0 +172\./);
    for (const word of ['first', 'second', 'third'])
      expect(await here.ok('run', '--rm', '--network', 'none', 'box', 'echo', word)).toBe(word);
    expect(await here.gantry('run', '--rm', 'box', 'sh', '-c', 'exit 9')).toEqual({ status: 9, output: '' });
  });

  it('tells in the first container what is true here', async () => {
    const limits = ['-m', '64m', '--memory-swap', '96m', '--pids-limit', '50', '--cpus', '0.5', '--cpuset-cpus', '1'];
    const page = await here.ok('run', '--rm', '--read-only', '--network', 'none', ...limits, 'gantry/hello');
    for (const row of [
      /^ +memory +64 MiB$/m,
      /^ +processes +50$/m,
      /^ +CPU +0\.5 of a CPU's time$/m,
      /^ +CPUs to use +1$/m,
      /^ +\/ +overlay, read-only$/m,
      /^ +seccomp +filter \(mode 2\)$/m,
      /^ +the machine's own: user$/m,
    ])
      expect(page).toMatch(row);
  });

  engineLimitScenarios(() => here);
  engineLifeScenarios(() => here);
  engineNetworkScenarios(() => here);
  engineMountScenarios(() => here);
  engineLayerScenarios(() => here);

  it('serves a published port, is measured, entered, paused, found again by the next engine, and removed', async () => {
    const { guest, ok } = here;
    const limits = ['-m', '64m', '--pids-limit', '50'];
    await ok('run', '-d', '--name', 'web', ...limits, '-p', '8080:80', 'box', 'httpd', '-f', '-h', '/var/www');
    expect(await guest.ok('wget -qO- http://127.0.0.1:8080/')).toBe('served');
    expect(await ok('stats', '--no-stream', 'web')).toMatch(/iB \/ 64MiB .* 1$/);
    expect(await ok('top', 'web')).toContain('httpd -f -h /var/www');
    expect(await ok('exec', 'web', 'cat', '/proc/self/cgroup')).toBe('0::/');
    await ok('pause', 'web');
    expect(await ok('ps')).toContain('(Paused)');
    await ok('unpause', 'web');
    await here.killEngine();
    await here.startEngine();
    expect(await ok('exec', 'web', 'cat', '/sys/fs/cgroup/memory.max')).toBe(String(64 * 1024 ** 2));
    expect(await guest.ok('wget -qO- http://127.0.0.1:8080/')).toBe('served');
    await ok('rm', '-f', 'web');
    expect(await guest.ok('find /sys/fs/cgroup -mindepth 2 -type d; ip -o link | grep -c @; true')).toBe('0');
    expect(await guest.ok('grep " /data/gantry/" /proc/mounts | grep -vc " erofs "; true')).toBe('0');
  });
});
