// The `filters` parameter: {"label": ["a=b"]}, or the older {"label": {"a=b": true}}.
import { GantryError } from '../../errors.ts';
import { parseTimeOrDuration } from '../json/times.ts';

export type Filters = Record<string, string[]>;

/** @param known names that the caller looks at. @throws {GantryError} INVALID_ARGUMENT on others. */
export function readFilters(text: string | null, known: string[]): Filters {
  if (!text) return {};
  const malformed = (what: string) => new GantryError('INVALID_ARGUMENT', `Cannot read the filters: ${what}`);
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    throw malformed('malformed JSON');
  }
  if (!isObject(raw)) throw malformed('not a map');
  const filters: Filters = {};
  for (const [name, values] of Object.entries(raw)) {
    if (!known.includes(name))
      throw new GantryError('INVALID_ARGUMENT', `Invalid filter '${name}'`, { hint: `Known are ${known.join(', ')}` });
    if (isObject(values)) filters[name] = Object.keys(values).filter((key) => values[key]);
    else if (Array.isArray(values) && values.every((value) => typeof value === 'string')) filters[name] = values;
    else throw malformed(`"${name}" is no list of strings`);
  }
  return filters;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Every wanted label is there: "name" or "name=value". */
export function matchesLabels(labels: Record<string, string>, wanted: string[] = []): boolean {
  return wanted.every((label) => {
    const at = label.indexOf('=');
    return at < 0 ? label in labels : labels[label.slice(0, at)] === label.slice(at + 1);
  });
}

/** As prune takes them: what has the labels of "label", and not all of those of "label!". */
export function matchesPruneLabels(labels: Record<string, string>, filters: Filters): boolean {
  const unwanted = filters['label!'] ?? [];
  return matchesLabels(labels, filters.label) && (unwanted.length === 0 || !matchesLabels(labels, unwanted));
}

/** One of the values matches; true where none is asked for. */
export function anyOf(values: string[] | undefined, matches: (value: string) => boolean): boolean {
  return values === undefined || values.length === 0 || values.some(matches);
}

/** One of the values is the text, or a regular expression that is found in it; true where none is asked for. */
export function matchesPattern(values: string[] | undefined, ...texts: string[]): boolean {
  return anyOf(values, (value) => texts.includes(value) || texts.some((text) => patternOf(value)?.test(text)));
}

/** Go's "(?i)" in front is JavaScript's flag; what is no expression matches nothing. */
function patternOf(source: string): RegExp | undefined {
  const [, flags = '', expression = source] = /^\(\?([ims]+)\)(.*)$/s.exec(source) ?? [];
  try {
    return new RegExp(expression, flags);
  } catch {
    return undefined;
  }
}

/** A filter that is true or false; undefined where it is not given. @throws {GantryError} INVALID_ARGUMENT. */
export function truthOf(filters: Filters, name: string): boolean | undefined {
  const values = filters[name];
  if (values === undefined) return undefined;
  const [yes, no] = [
    ['1', 'true'],
    ['0', 'false'],
  ].map((words) => values.some((value) => words.includes(value)));
  if (yes === no) throw new GantryError('INVALID_ARGUMENT', `Invalid filter '${name}=[${values.join(' ')}]'`);
  return yes;
}

/** @throws {GantryError} INVALID_ARGUMENT where a value is not one of those that there are. */
export function checkValues(filters: Filters, name: string, thing: string, valid: string[]): void {
  for (const value of filters[name] ?? [])
    if (!valid.includes(value))
      throw new GantryError(
        'INVALID_ARGUMENT',
        `Invalid filter '${name}=${value}': invalid value for ${thing} (${value}): must be one of ${valid.join(', ')}`,
      );
}

/** What was made before the time of "until", in milliseconds; undefined where it is not given. @throws {GantryError} INVALID_ARGUMENT. */
export function untilOf({ until }: Filters): number | undefined {
  if (until === undefined) return undefined;
  if (until.length > 1) throw new GantryError('INVALID_ARGUMENT', 'More than one until filter specified');
  const time = parseTimeOrDuration(until[0] ?? '');
  return time === undefined ? undefined : Number(time / 1_000_000n);
}
