// ConfigMaps and Secrets: bytes by key.
import { type Fields, invalidField } from './fields.ts';

export interface Settings {
  kind: 'ConfigMap' | 'Secret';
  name: string;
  data: Map<string, Buffer>;
}

const KEY = /^[-._a-zA-Z0-9]{1,253}$/;

function put(settings: Settings, fields: Fields, field: string, decode: (text: string) => Buffer | undefined): void {
  for (const [key, text] of Object.entries(fields.textMap(field))) {
    if (!KEY.test(key) || key === '.' || key.startsWith('..'))
      throw invalidField(fields.at(field), `"${key}" is no key: letters, digits, "-", "_" and "."`);
    const value = decode(text);
    // Values may be secrets: never shown.
    if (value === undefined) throw invalidField(`${fields.at(field)}.${key}`, 'it is not base64');
    settings.data.set(key, value);
  }
}

function base64(text: string): Buffer | undefined {
  const joined = text.replace(/\s+/g, '');
  return joined.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(joined) ? Buffer.from(joined, 'base64') : undefined;
}

export function readConfigMap(fields: Fields, name: string): Settings {
  const settings: Settings = { kind: 'ConfigMap', name, data: new Map() };
  put(settings, fields, 'data', (text) => Buffer.from(text));
  put(settings, fields, 'binaryData', base64);
  fields.flag('immutable');
  fields.end();
  return settings;
}

export function readSecret(fields: Fields, name: string): Settings {
  const settings: Settings = { kind: 'Secret', name, data: new Map() };
  fields.text('type');
  put(settings, fields, 'data', base64);
  put(settings, fields, 'stringData', (text) => Buffer.from(text));
  fields.flag('immutable');
  fields.end();
  return settings;
}

/** What pods may name: "ConfigMap web" → its bytes. */
export type AllSettings = Map<string, Settings>;

/** @returns undefined where it is not there and need not be. */
export function findSettings(
  all: AllSettings,
  kind: Settings['kind'],
  name: string,
  reference: Fields,
): Settings | undefined {
  const optional = reference.flag('optional') === true;
  const found = all.get(`${kind} ${name}`);
  if (found === undefined && !optional)
    throw invalidField(
      reference.path,
      `there is no ${kind} "${name}"`,
      'Have it in the same file, or in one that --configmap names',
    );
  return found;
}
