// Layers on a kernel that mounts file systems from block devices only, and without EROFS.
import { describe, expect, it } from 'vitest';
import { until } from '../helpers/cli.ts';
import type { EngineGuest } from './engine-guest.ts';

export function engineLayerScenarios(of: () => EngineGuest): void {
  describe('layers of images on Debian’s kernel', () => {
    const look = ['run', '--rm', '--network', 'none', 'box', 'cat', '/var/www/index.html'];
    const mounts = (): Promise<string> => of().guest.ok('grep -c "^/dev/loop[0-9]* .* erofs ro," /proc/mounts; true');
    const ended = async (): Promise<void> => {
      const { guest } = of();
      await guest.ok(`kill $(grep -o '"pid":[0-9]*' /data/gantry/engine.lock | cut -d: -f2)`);
      await until(async () => (await guest.ok('test -e /data/gantry/engine.lock || echo gone')) === 'gone', 'its end');
    };

    it('are EROFS files behind loop devices, which are free again when the engine ends', async () => {
      const { guest, ok, gantry, startEngine } = of();
      expect((await gantry('doctor')).output).toMatch(
        /^. layers +EROFS files through loop devices \(this kernel mounts EROFS from block devices only\)$/m,
      );
      expect(await ok(...look)).toBe('served');
      expect(Number(await mounts())).toBeGreaterThan(0);
      expect(await ok('image', 'verify', 'box')).toMatch(/^✓ box:latest: 1 layer/);
      await ended();
      expect(await mounts()).toBe('0');
      expect(
        await guest.ok('ls /sys/block | while read name; do cat /sys/block/$name/loop/backing_file; done 2>&- ; true'),
      ).toBe('');
      await startEngine();
    });

    it('are directories where there is no EROFS, and what is a file says so until it is there again', async () => {
      const { guest, ok, gantry, startEngine } = of();
      await ended();
      await guest.ok('/image/bin/busybox rmmod erofs');
      await startEngine();
      expect((await gantry('doctor')).output).toMatch(/^! layers +directories \(this kernel has no EROFS\)\n +Hint: /m);
      await ok('rmi', 'gantry/hello'); // Made again, as a directory.
      expect(await ok('run', '--rm', '--network', 'none', 'gantry/hello')).toContain('Hello');
      const { status, output } = await gantry(...look);
      expect([status, output]).toEqual([125, expect.stringContaining('Cannot mount the layer sha256:')]);
      await ended();
      await guest.ok('/image/bin/busybox insmod /modules/erofs.ko');
      await startEngine();
      expect(await ok(...look)).toBe('served');
    });
  });
}
