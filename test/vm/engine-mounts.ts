// Layers, volumes, binds and images as mounts, on ext4 and on a kernel whose overlay is mounted by mount(2).
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dockerArchive, makeTar } from '../helpers/tar.ts';
import type { EngineGuest } from './engine-guest.ts';

const LAYERS = 41;

export function engineMountScenarios(of: () => EngineGuest): void {
  describe('files of containers on ext4', () => {
    const run = (...args: string[]): Promise<string> => of().ok('run', '--rm', '--network', 'none', ...args);
    const refused = (...args: string[]) => of().gantry('run', '--rm', '--network', 'none', ...args);
    const sh = (script: string): string[] => ['box', 'sh', '-c', script];

    it('come from more layers than mount(2) takes with whole names', async () => {
      const directory = mkdtempSync(join(tmpdir(), 'gantry-layers-'));
      const layer = (_value: unknown, index: number): Buffer =>
        makeTar([
          { name: `layer${index}`, content: `${index}\n` },
          { name: 'newest', content: `${index}\n` },
        ]);
      const archive = join(directory, 'image.tar');
      writeFileSync(archive, dockerArchive(Array.from({ length: LAYERS }, layer), { tag: 'deep:1' }));
      await of().ok('load', '-i', archive);
      rmSync(directory, { recursive: true });
      await of().guest.ok('cp /image/bin/busybox /data/busybox');
      const busybox = ['-v', '/data/busybox:/busybox:ro', 'deep:1', '/busybox', 'sh', '-c'];
      const look = '/busybox ls / | /busybox grep -c layer; /busybox cat /newest';
      expect(await run('--userns', 'auto', ...busybox, look)).toBe(`${LAYERS}\n${LAYERS - 1}`);
      expect(await run(...busybox, look)).toBe(`${LAYERS}\n${LAYERS - 1}`);
    });

    it('come from volumes, whole and in part, with ids of the container’s own', async () => {
      const fill = 'cat /var/www/index.html; mkdir /var/www/sub; echo part > /var/www/sub/file';
      expect(await run('-v', 'vol:/var/www', ...sh(fill))).toBe('served');
      const part = ['--mount', 'type=volume,source=vol,target=/p,volume-subpath=sub'];
      for (const ids of [[], ['--userns', 'auto']])
        expect(await run(...part, ...ids, ...sh('cat /p/file; stat -c %u /p/file'))).toBe('part\n0');
      const mapped = ['-v', 'other:/var/www', '--userns', 'auto'];
      expect(await run(...mapped, ...sh('echo x > /var/www/x; stat -c %u /var/www/*'))).toBe('0\n0');
      expect(await of().guest.ok('stat -c %u /data/gantry/volumes/other/_data/*')).toBe('0\n0');
      await of().ok('volume', 'rm', 'vol', 'other');
    });

    it('come from binds, read-only with or without the mounts below', async () => {
      await of().guest.ok('mkdir -p /data/bound/below; mount -t tmpfs none /data/bound/below');
      const touch = sh('touch /b/below/x && echo written');
      expect((await refused('-v', '/data/bound:/b:ro', ...touch)).output).toContain('Read-only file system');
      const bind = 'type=bind,src=/data/bound,dst=/b,ro,bind-recursive';
      expect(await run('--mount', `${bind}=writable`, ...touch)).toBe('written');
      await of().guest.ok('umount /data/bound/below');
    });

    it('come from an image of one layer, as before Linux 6.8 no more can be mounted', async () => {
      const look = sh('cat /img/var/www/index.html; touch /img/x');
      const { output } = await refused('--mount', 'type=image,src=box,dst=/img', ...look);
      expect(output).toMatch(/^served\n.*Read-only file system/);
      expect(await refused('--mount', 'type=image,src=deep:1,dst=/img', ...sh('cat /img/newest'))).toEqual({
        status: 125,
        output: expect.stringContaining(`Cannot mount an image of ${LAYERS} layers on "/img": kernels before 6.8`),
      });
    });
  });
}
