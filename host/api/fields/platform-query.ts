// The "platform" of a query: an image here is of one platform, and that one may be named, as JSON or as "os/architecture".
import { GantryError } from '../../errors.ts';
import type { Image, Platform } from '../../types.ts';

/** @throws {GantryError} INVALID_ARGUMENT; IMAGE_NOT_FOUND where the image is of another platform. */
export function checkPlatform(text: string | null, { platform }: Image, verb: string): void {
  if (!text) return;
  let wanted: Partial<Platform> | null;
  try {
    wanted = JSON.parse(text) as Platform;
  } catch {
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the platform "${text}": it is not JSON`);
  }
  const { os, architecture, variant } = wanted ?? {};
  const isOther = variant && platform.variant && variant !== platform.variant;
  if (os === platform.os && architecture === platform.architecture && !isOther) return;
  throw new GantryError(
    'IMAGE_NOT_FOUND',
    `Cannot ${verb} for ${os}/${architecture}: the image is here for ${platform.os}/${platform.architecture}`,
  );
}

/** "linux/arm64/v8", as a pull and a new container have it. @throws {GantryError} INVALID_ARGUMENT. */
export function platformOf(text: string): Platform {
  const [os = 'linux', architecture = '', variant, ...more] = text.split('/');
  if (architecture === '' || more.length > 0)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the platform "${text}"`, { hint: 'Such as linux/amd64' });
  const names: Record<string, string> = { x86_64: 'amd64', aarch64: 'arm64' };
  return { os, architecture: names[architecture] ?? architecture, ...(variant ? { variant } : {}) };
}

/** @throws {GantryError} IMAGE_NOT_FOUND in docker's words: clients then pull for the platform. */
export function checkWanted(text: string, { platform, tags, id }: Image): void {
  const wanted = platformOf(text);
  const isOther = wanted.variant && platform.variant && wanted.variant !== platform.variant;
  if (wanted.os === platform.os && wanted.architecture === platform.architecture && !isOther) return;
  throw new GantryError(
    'IMAGE_NOT_FOUND',
    `No such image: ${tags[0] ?? id} was found but its platform (${platform.os}/${platform.architecture}) does not match the specified platform (${text})`,
    { hint: `gantry pull --platform ${text} IMAGE` },
  );
}
