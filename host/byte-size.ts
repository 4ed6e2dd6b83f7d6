// "256m" as docker reads it: powers of 1024, whatever the suffix is called.
const scales = 'bkmgtp';

/** Bytes, rounded down; undefined for what is no size. */
export function readByteSize(text: string): number | undefined {
  const [, digits, suffix = 'b'] = /^(\d+(?:\.\d+)?)\s*([bkmgtp])?(?:i?b)?$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(digits) * 1024 ** scales.indexOf(suffix.toLowerCase()));
  return digits !== undefined && Number.isSafeInteger(bytes) ? bytes : undefined;
}
