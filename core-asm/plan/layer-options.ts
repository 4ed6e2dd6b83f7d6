// How this kernel's overlayfs takes its layers.
import { Json } from '../json';

/** "lowerdir+" came with Linux 6.8; an option of fsconfig(2) ends at 255 bytes, too short for all layers in one. */
export function takesLayersOneByOne(facts: Json): bool {
  const kernel = facts.list('kernel');
  const major = kernel.length > 0 ? kernel[0].integer : 0;
  const minor = kernel.length > 1 ? kernel[1].integer : 0;
  return major > 6 || (major == 6 && minor >= 8);
}
