// What the options of the driver "json-file" add to each line of `logs --details`: labels, variables, a tag.
import { GantryError } from '../../errors.ts';
import type { LogConfig } from '../../types.ts';
import type { ContainerRecord } from '../record.ts';

/** Options by driver; "mode" and "max-buffer-size" are every driver's. */
const OPTIONS: Record<string, string[]> = {
  'json-file': ['max-file', 'max-size', 'compress', 'labels', 'labels-regex', 'env', 'env-regex', 'tag'],
  local: ['max-file', 'max-size', 'compress'],
  none: [],
};

/** @throws {GantryError} INVALID_ARGUMENT, UNSUPPORTED on options that are not carried out. */
export function checkLogConfig({ type, config }: LogConfig): void {
  const own = OPTIONS[type];
  if (own === undefined)
    throw new GantryError('UNSUPPORTED', `Cannot log with the driver "${type}": not supported`, {
      hint: 'json-file, local and none are',
    });
  const known = [...own, 'mode', 'max-buffer-size'];
  for (const name of Object.keys(config))
    if (!known.includes(name))
      throw new GantryError('INVALID_ARGUMENT', `Unknown log opt '${name}' for ${type} log driver`, {
        hint: `Known are ${known.join(', ')}`,
      });
  isTrue(config.compress ?? 'false');
  const { mode = 'blocking' } = config;
  if (!['blocking', 'non-blocking'].includes(mode))
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the log option mode "${mode}"`, {
      hint: 'blocking, or non-blocking',
    });
  if (mode === 'blocking' && config['max-buffer-size'] !== undefined)
    throw new GantryError(
      'INVALID_ARGUMENT',
      "The log option max-buffer-size is only supported with 'mode=non-blocking'",
    );
  for (const name of ['labels-regex', 'env-regex']) expressionOf(config[name] ?? '', name);
  tagOf(config.tag ?? '', () => '');
}

/** The option "compress", as Go reads a boolean. @throws {GantryError} INVALID_ARGUMENT where it is none. */
export function isTrue(text: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  throw new GantryError('INVALID_ARGUMENT', `Cannot read the log option compress "${text}"`, {
    hint: 'true, or false',
  });
}

/** Name → value, in the order of names. */
export function logDetails({ id, name, config }: ContainerRecord): Record<string, string> {
  const options = config.host.logConfig.config;
  const details: Record<string, string> = {};
  const environment = Object.fromEntries(
    config.env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
  for (const [kind, values] of [
    ['labels', config.labels],
    ['env', environment],
  ] as const) {
    const names = options[kind]?.split(',') ?? [];
    const pattern = expressionOf(options[`${kind}-regex`] ?? '', `${kind}-regex`);
    for (const [key, value] of Object.entries(values))
      if (names.includes(key) || pattern?.test(key)) details[key] = value;
  }
  const fields: Record<string, string> = {
    ID: id.slice(0, 12),
    FullID: id,
    Name: name,
    ImageID: config.imageId.slice('sha256:'.length, 'sha256:'.length + 12),
    ImageFullID: config.imageId,
    ImageName: config.image,
    DaemonName: 'docker',
  };
  const tag = tagOf(options.tag ?? '', (field) => fields[field]);
  if (tag !== '') details.tag = tag;
  return Object.fromEntries(Object.entries(details).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const FIELDS = ['ID', 'FullID', 'Name', 'ImageID', 'ImageFullID', 'ImageName', 'DaemonName'];

/** "{{.Name}}/{{.ID}}" filled. @throws {GantryError} INVALID_ARGUMENT where it asks for something else. */
function tagOf(template: string, value: (field: string) => string | undefined): string {
  return template.replace(/\{\{(.*?)\}\}/g, (whole, inside: string) => {
    const field = inside.trim().replace(/^\./, '');
    if (!FIELDS.includes(field))
      throw new GantryError('INVALID_ARGUMENT', `Cannot read the log option tag: "${whole}" is not known`, {
        hint: `Known are ${FIELDS.map((name) => `{{.${name}}}`).join(', ')}`,
      });
    return value(field) ?? '';
  });
}

/** @throws {GantryError} INVALID_ARGUMENT where it is none. */
function expressionOf(source: string, option: string): RegExp | undefined {
  if (source === '') return undefined;
  try {
    return new RegExp(source);
  } catch {
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot read the log option ${option} "${source}": no regular expression`,
    );
  }
}
