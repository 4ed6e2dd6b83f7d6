// How filters and moments are said to the engine.

/** Docker's filters: `{ label: ['a=b'], status: ['running'] }`; one value may stand alone. */
export type Filters = Record<string, string | string[]>;

/** @internal */
export function filtersQuery(filters: Filters | undefined): string | undefined {
  if (filters === undefined) return undefined;
  return JSON.stringify(Object.fromEntries(Object.entries(filters).map(([name, value]) => [name, [value].flat()])));
}

/** A moment: seconds since the epoch with a fraction. @internal */
export function momentQuery(moment: Date | undefined): string | undefined {
  return moment === undefined ? undefined : (moment.getTime() / 1000).toFixed(3);
}

/** Part of a path. @internal */
export function name(text: string): string {
  return encodeURIComponent(text);
}

/** An image's name as part of a path: its slashes stay, as docker's clients send them. @internal */
export function imageName(text: string): string {
  return encodeURIComponent(text).replaceAll('%2F', '/');
}
