// Whether an image configuration (image-spec, config.md) has the types that it must have: nothing is guessed from what has others.
import { GantryError } from '../errors.ts';

type Type = [test: (value: unknown) => boolean, wanted: string];
type Fields = Record<string, Type>;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): boolean => typeof value === 'string' && !value.includes('\0');
const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const text: Type = [isText, 'a text'];
const texts: Type = [isTextList, 'a list of texts'];
const flag: Type = [(value) => typeof value === 'boolean', 'true or false'];
const count: Type = [(value) => Number.isSafeInteger(value) && (value as number) >= 0, 'a number from 0 on'];
const object: Type = [isObject, 'an object'];
const namedTexts: Type = [(value) => isObject(value) && Object.values(value).every(isText), 'texts by name'];
/** Go's JSON has an empty object for each name; what is in it says nothing. */
const names: Type = [(value) => isObject(value) && Object.keys(value).every(isText), 'an object of names'];
const time: Type = [
  (value) => typeof value === 'string' && (value === '' || !Number.isNaN(Date.parse(value))),
  'a time such as 2026-01-02T03:04:05Z',
];

const image: Fields = {
  architecture: text,
  os: text,
  variant: text,
  author: text,
  created: time,
  config: object,
  history: [(value) => Array.isArray(value) && value.every(isObject), 'a list of objects'],
};
const config: Fields = {
  User: text,
  WorkingDir: text,
  StopSignal: text,
  Env: texts,
  Entrypoint: texts,
  Cmd: texts,
  Shell: texts,
  OnBuild: texts,
  ExposedPorts: names,
  Volumes: names,
  Labels: namedTexts,
  Healthcheck: object,
};
const healthcheck: Fields = {
  Test: texts,
  Interval: count,
  Timeout: count,
  StartPeriod: count,
  StartInterval: count,
  Retries: count,
};
const history: Fields = { created: time, created_by: text, comment: text, author: text, empty_layer: flag };

/** @throws {GantryError} INVALID_ARCHIVE naming the field. */
export function checkImageConfig(raw: unknown, what: string): void {
  const wrong = (said: string): GantryError =>
    new GantryError('INVALID_ARCHIVE', `Cannot read the configuration of "${what}": ${said}`);
  const check = (value: unknown, fields: Fields, prefix = ''): void => {
    for (const [name, [test, wanted]] of Object.entries(fields)) {
      const field = (value as Record<string, unknown>)[name] ?? undefined;
      if (field !== undefined && !test(field)) throw wrong(`${prefix}${name} must be ${wanted}`);
    }
  };
  if (!isObject(raw)) throw wrong('it is no JSON object');
  const diffIds = isObject(raw.rootfs) ? raw.rootfs.diff_ids : undefined;
  const isDigest = (id: unknown): boolean => typeof id === 'string' && /^sha256:[a-f0-9]{64}$/.test(id);
  if (!Array.isArray(diffIds) || !diffIds.every(isDigest)) throw wrong('it names no layers');
  check(raw, image);
  if (isObject(raw.config)) {
    check(raw.config, config);
    if (isObject(raw.config.Healthcheck)) check(raw.config.Healthcheck, healthcheck, 'Healthcheck.');
  }
  for (const entry of (raw.history ?? []) as unknown[]) check(entry, history, 'history.');
}
