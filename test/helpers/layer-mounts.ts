// Where the layers of a data root are mounted, and from what.
import { readFileSync } from 'node:fs';

export interface LayerMount {
  place: string;
  /** The EROFS file, or a loop device. */
  source: string;
  /** Of the mount: "ro,nosuid,…". */
  options: string;
}

export function layerMounts(dataRoot: string): LayerMount[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${dataRoot}/layers/`) && line.includes(' - erofs '))
    .map((line) => {
      const words = line.split(' ');
      return { place: words[4]!, options: words[5]!, source: words[words.indexOf('-') + 2]! };
    });
}
