// The "platform" of a query, which is JSON: an image here is of one platform, and that one may be named.
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
