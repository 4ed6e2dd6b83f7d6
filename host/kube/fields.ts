// A reader of one object of a Kubernetes file: each field is asked for by name, and what nobody asked for is refused by its path.
import { GantryError } from '../errors.ts';

type Values = Record<string, unknown>;

const isObject = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Kubernetes takes null, {} and [] for a field that is not there. */
const isAbsent = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) && value.length === 0) ||
  (isObject(value) && Object.keys(value).length === 0);

/** What is refused in one file, so that all of it is told at once. */
export type Refusals = string[];

export class Fields {
  private readonly values: Values;
  private readonly asked = new Set<string>();

  /** @param path such as `Pod "web": spec.containers[0]`; of a whole object `Pod "web":`. */
  constructor(
    value: unknown,
    readonly path: string,
    private readonly refusals: Refusals,
  ) {
    if (!isObject(value)) throw invalidField(path, 'it must be an object');
    this.values = value;
  }

  at(name: string): string {
    return `${this.path}${this.path.endsWith(':') ? ' ' : '.'}${name}`;
  }

  /** Whether the field stands there, as {} too. */
  has(name: string): boolean {
    return this.values[name] !== undefined && this.values[name] !== null;
  }

  private take(name: string): unknown {
    this.asked.add(name);
    return this.values[name] ?? undefined;
  }

  text(name: string): string | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'string') return value;
    throw invalidField(this.at(name), `it must be a string, not ${JSON.stringify(value)}`, 'Put quotes around it');
  }

  need(name: string): string {
    const value = this.text(name);
    if (value === undefined || value === '') throw invalidField(this.at(name), 'it is missing');
    return value;
  }

  /** One of a few words. */
  word<Word extends string>(name: string, words: readonly Word[]): Word | undefined {
    const value = this.text(name);
    if (value === undefined || (words as readonly string[]).includes(value)) return value as Word | undefined;
    throw invalidField(this.at(name), `"${value}" is not one of ${words.join(', ')}`);
  }

  flag(name: string): boolean | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw invalidField(this.at(name), 'it must be true or false');
  }

  whole(name: string, least = 0, most = 2 ** 31 - 1): number | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw invalidField(this.at(name), `it must be a whole number from ${least} to ${most}`);
  }

  texts(name: string): string[] | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
    throw invalidField(this.at(name), 'it must be a list of strings', 'Put quotes around numbers and words like yes');
  }

  numbers(name: string): number[] {
    const value = this.take(name) ?? [];
    if (Array.isArray(value) && value.every((one) => Number.isInteger(one) && one >= 0)) return value as number[];
    throw invalidField(this.at(name), 'it must be a list of whole numbers');
  }

  textMap(name: string): Record<string, string> {
    const value = this.take(name) ?? {};
    if (isObject(value) && Object.values(value).every((one) => typeof one === 'string'))
      return value as Record<string, string>;
    throw invalidField(
      this.at(name),
      'it must have strings as its values',
      'Put quotes around numbers and words like yes',
    );
  }

  /** As it stands: a port's name or number, a quantity. */
  scalar(name: string): string | number | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === 'string' || typeof value === 'number') return value;
    throw invalidField(this.at(name), 'it must be a string or a number');
  }

  child(name: string): Fields | undefined {
    const value = this.take(name);
    return value === undefined ? undefined : new Fields(value, this.at(name), this.refusals);
  }

  list(name: string): Fields[] {
    const value = this.take(name) ?? [];
    if (!Array.isArray(value)) throw invalidField(this.at(name), 'it must be a list');
    return value.map((one, index) => new Fields(one, `${this.at(name)}[${index}]`, this.refusals));
  }

  /** A field whose default is what happens here; anything else is refused. */
  only(name: string, ...values: unknown[]): void {
    const value = this.take(name);
    if (value !== undefined && !values.includes(value)) this.refuse(name);
  }

  /** What a server writes into its answers and no client decides. */
  written(...names: string[]): void {
    for (const name of names) this.asked.add(name);
  }

  names(): string[] {
    return Object.keys(this.values);
  }

  refuse(name: string, reason = 'not carried out'): void {
    this.asked.add(name);
    this.refusals.push(`${this.at(name)}: ${reason}`);
  }

  /** What nobody asked for is refused. */
  end(): void {
    for (const [name, value] of Object.entries(this.values))
      if (!this.asked.has(name) && !isAbsent(value)) this.refuse(name);
  }
}

/** @param path of a field, or of a whole object. */
export function invalidField(path: string, reason: string, hint?: string): GantryError {
  const where = path.replace(/:$/, '');
  return new GantryError('INVALID_ARGUMENT', `${/^[A-Z]/.test(where) ? where : `Field ${where}`}: ${reason}`, { hint });
}
