// JSON as Go's encoders write it, for what scripts compare with docker's.

/** Marks the row of a list: docker writes those for pages, without "<", ">" and "&", and everything else as it is. */
export const ROW = Symbol('row');

const escapes: Record<string, string> = { '<': '\\u003c', '>': '\\u003e', '&': '\\u0026' };

export function goJson(value: unknown): string {
  const text = JSON.stringify(value ?? null);
  const isRow = typeof value === 'object' && value !== null && ROW in value;
  return isRow ? text.replace(/[<>&]/g, (letter) => escapes[letter]!) : text;
}
