// Whether an image configuration (image-spec, config.md) has the types that it must have: nothing is guessed from what has others.
import { GantryError } from '../errors.ts';
import {
  count,
  type Fields,
  flag,
  isObject,
  namedTexts,
  names,
  object,
  objects,
  text,
  texts,
  time,
  wrongField,
} from './field-types.ts';

const image: Fields = {
  architecture: text,
  os: text,
  variant: text,
  author: text,
  created: time,
  config: object,
  history: objects,
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
    const found = wrongField(value as object, fields, prefix);
    if (found !== undefined) throw wrong(found);
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
