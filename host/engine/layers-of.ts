// Which layers a container needs: those of its own image, and of images that are mounted in it.
import type { ContainerRecord } from './record.ts';

export function layersOf({ mounts }: Pick<ContainerRecord, 'mounts'>, own: string[]): string[] {
  const mounted = mounts.filter(({ image }) => image !== undefined);
  return mounted.length === 0 ? own : [...own, ...mounted.flatMap(({ image }) => image!.layers)];
}
