// Options of the driver "local", as mount(8) takes them: type=tmpfs,device=tmpfs,o=size=100m, or o=bind,device=/path.
import { GantryError } from '../../errors.ts';

const KNOWN = ['type', 'o', 'device', 'size'];

/** Option → what must be there with it. */
const NEEDED: [string, string[]][] = [
  ['device', ['type']],
  ['type', ['device']],
  ['o', ['device', 'type']],
];

/** @throws {GantryError} INVALID_ARGUMENT in docker's words. */
export function checkVolumeOptions(name: string, options: Record<string, string>): void {
  const invalid = (reason: string, hint?: string): GantryError =>
    new GantryError('INVALID_ARGUMENT', `Create ${name}: ${reason}`, { hint });
  for (const option of Object.keys(options))
    if (!KNOWN.includes(option)) throw invalid(`invalid option: "${option}"`, `Known are ${KNOWN.join(', ')}`);
  for (const [option, needed] of NEEDED)
    for (const other of needed)
      if (option in options && !(other in options)) throw invalid(`missing required option: "${other}"`);
  if ((options.size ?? '0') !== '0')
    throw invalid('quota size requested but no quota support', 'Limit a tmpfs: type=tmpfs, device=tmpfs, o=size=100m');
  if (options.type === 'cifs' && /^\w+:\/\/[^/]*:\d+/.test(options.device ?? ''))
    throw invalid("port not allowed in CIFS device URL, include 'port' in 'o='");
}

interface Optioned {
  options?: Record<string, string>;
}

export interface FileSystem {
  type: string;
  device: string;
  options: string[];
}

/** What is mounted on a volume's directory; undefined for a plain one. */
export function fileSystemOf({ options = {} }: Optioned): FileSystem | undefined {
  const { type = '', device = '', o = '' } = options;
  return device === '' ? undefined : { type, device, options: o.split(',').filter(Boolean) };
}

/** Gone with its last user: nothing that is copied into it would be found again. */
export function isVolatile(volume: Optioned): boolean {
  return fileSystemOf(volume)?.type === 'tmpfs';
}
