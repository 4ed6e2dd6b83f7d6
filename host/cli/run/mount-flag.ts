// -v and --device as docker spells them.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { GantryError } from '../../errors.ts';

function invalid(flag: string, text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--${flag}": ${reason}`);
}

/** A relative source ("./data", "../x") becomes absolute; the rest is the engine's to read. */
export function parseVolume(text: string): string {
  const [source = '', ...rest] = text.split(':');
  if (text === '' || (rest.length > 0 && source === '')) throw invalid('volume', text, 'empty section between colons');
  return rest.length > 0 && /^\.{1,2}(\/|$)|^~/.test(source) ? [resolve(source), ...rest].join(':') : text;
}

/** "/dev/fuse", "/dev/sda:/dev/xvda:r". */
export function parseDevice(text: string): object {
  const [PathOnHost = '', second, third] = text.split(':');
  const modeOnly = second !== undefined && /^[rwm]+$/.test(second);
  const PathInContainer = modeOnly || second === undefined ? PathOnHost : second;
  const CgroupPermissions = (modeOnly ? second : third) ?? 'rwm';
  if (!PathOnHost.startsWith('/') || !/^[rwm]+$/.test(CgroupPermissions))
    throw invalid('device', text, 'not a device, or its mode has other letters than r, w and m');
  if (!existsSync(PathOnHost) && process.env.DOCKER_HOST === undefined && process.env.GANTRY_HOST === undefined)
    throw new GantryError('PATH_NOT_FOUND', `Cannot add the device "${PathOnHost}": no such file or directory`);
  return { PathOnHost, PathInContainer, CgroupPermissions };
}
