// The ID that a draft has as an image: what RUN of the next step would be given.
import type { Draft } from '../image/builds.ts';
import { digestOf } from '../image/content-store.ts';
import { writeImageConfig } from '../image/image-config.ts';

/** Empty of "scratch". */
export function imageIdOf({ id, image }: Draft): string {
  if (id !== undefined) return id;
  return image.diffIds.length === 0 && image.history.length === 0 ? '' : digestOf(writeImageConfig(image));
}
