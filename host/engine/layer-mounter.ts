// Layers' mounts, carried out by the backend as planned programs.
import { readFileSync, realpathSync } from 'node:fs';
import type { Backend } from '../backend.ts';
import { planVolume, type VolumeRequest } from '../core/plans.ts';
import type { Mounter } from '../image/layers/mounter.ts';
import { mountPoints } from './volumes/propagation.ts';

/**
 * Nobody runs a layer's programs but through an overlay, which goes by its own attributes: set-user-ID programs, devices and
 * execution are for containers, not for who comes by on the host.
 */
const LAYER = ['ro', 'nosuid', 'nodev', 'noexec'];

/** @param owned nobody else uses the backend: it is closed with the layers. */
export function createLayerMounter(backend: Backend, { owned = false } = {}): Mounter {
  const run = async (request: VolumeRequest): Promise<void> => backend.run(planVolume(await backend.facts(), request));
  return {
    mount: (file, path, loop) =>
      run({ action: 'mount', type: 'erofs', device: file, path, options: loop ? [...LAYER, 'loop'] : LAYER }),
    overlay: (lower, path) =>
      run({
        action: 'mount',
        type: 'overlay',
        device: 'overlay',
        path,
        options: [...LAYER, `lowerdir=${lower.join(':')}`],
      }),
    unmount: (path) => run({ action: 'unmount', type: '', device: '', path, options: [] }),
    mounted(directory) {
      const real = realpathSync(directory);
      return mountPoints(readFileSync('/proc/self/mountinfo', 'utf8'), 'erofs')
        .filter((place) => place.startsWith(`${real}/`))
        .map((place) => directory + place.slice(real.length));
    },
    watch: (changed) => backend.watchMounts(changed),
    close: async () => {
      if (owned) await backend.close();
    },
  };
}
