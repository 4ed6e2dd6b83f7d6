// What the fields of a JSON document must be: tables of them, checked before anything of the document is believed.

export type Type = [test: (value: unknown) => boolean, wanted: string];
export type Fields = Record<string, Type>;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): boolean => typeof value === 'string' && !value.includes('\0');
const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every(isText);

export const text: Type = [isText, 'a text'];
export const texts: Type = [isTextList, 'a list of texts'];
export const flag: Type = [(value) => typeof value === 'boolean', 'true or false'];
export const count: Type = [(value) => Number.isSafeInteger(value) && (value as number) >= 0, 'a number from 0 on'];
export const object: Type = [isObject, 'an object'];
export const objects: Type = [(value) => Array.isArray(value) && value.every(isObject), 'a list of objects'];
export const namedTexts: Type = [(value) => isObject(value) && Object.values(value).every(isText), 'texts by name'];
/** Go's JSON has an empty object for each name; what is in it says nothing. */
export const names: Type = [(value) => isObject(value) && Object.keys(value).every(isText), 'an object of names'];
export const time: Type = [
  (value) => typeof value === 'string' && (value === '' || !Number.isNaN(Date.parse(value))),
  'a time such as 2026-01-02T03:04:05Z',
];

/** What the first field that is something else must be; null is Go's way to say nothing. */
export function wrongField(value: object, fields: Fields, prefix = ''): string | undefined {
  for (const [name, [test, wanted]] of Object.entries(fields)) {
    const field = (value as Record<string, unknown>)[name] ?? undefined;
    if (field !== undefined && !test(field)) return `${prefix}${name} must be ${wanted}`;
  }
  return undefined;
}
