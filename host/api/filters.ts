// The `filters` parameter: {"label": ["a=b"]}, or the older {"label": {"a=b": true}}.
import { GantryError } from '../errors.ts';

export type Filters = Record<string, string[]>;

/** @param known names that the caller looks at. @throws {GantryError} INVALID_ARGUMENT on others. */
export function readFilters(text: string | null, known: string[]): Filters {
  if (!text) return {};
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    throw new GantryError('INVALID_ARGUMENT', 'Cannot read the filters: malformed JSON');
  }
  const filters: Filters = {};
  for (const [name, values] of Object.entries(raw as Record<string, string[] | Record<string, boolean>>)) {
    if (!known.includes(name))
      throw new GantryError('INVALID_ARGUMENT', `Invalid filter '${name}'`, { hint: `Known are ${known.join(', ')}` });
    filters[name] = Array.isArray(values) ? values : Object.keys(values).filter((key) => values[key]);
  }
  return filters;
}

/** Every wanted label is there: "name" or "name=value". */
export function matchesLabels(labels: Record<string, string>, wanted: string[] = []): boolean {
  return wanted.every((label) => {
    const at = label.indexOf('=');
    return at < 0 ? label in labels : labels[label.slice(0, at)] === label.slice(at + 1);
  });
}

/** One of the values matches; true where none is asked for. */
export function anyOf(values: string[] | undefined, matches: (value: string) => boolean): boolean {
  return values === undefined || values.length === 0 || values.some(matches);
}
