// Whether a manifest or an index (image-spec, manifest.md, image-index.md, descriptor.md) has the types that it must have.
import { type Fields, isObject, namedTexts, object, objects, text, texts, wrongField } from './field-types.ts';

const document: Fields = {
  schemaVersion: [(value) => value === 1 || value === 2, '2'],
  mediaType: text,
  artifactType: text,
  annotations: namedTexts,
  config: object,
  layers: objects,
  manifests: objects,
  subject: object,
};
const descriptor: Fields = {
  mediaType: text,
  artifactType: text,
  annotations: namedTexts,
  urls: texts,
  data: text,
  platform: object,
};
const platform: Fields = {
  os: text,
  architecture: text,
  variant: text,
  'os.version': text,
  'os.features': texts,
};

/** Why it is none; undefined: it has no field of another type. */
export function wrongManifest(json: Record<string, unknown>): string | undefined {
  const wrong = wrongField(json, document);
  if (wrong !== undefined) return wrong;
  const lists = ['layers', 'manifests'].map((name): [string, unknown[]] => [name, (json[name] ?? []) as unknown[]]);
  const single = ['config', 'subject'].map((name): [string, unknown[]] => [name, [json[name] ?? {}]]);
  for (const [name, entries] of [...lists, ...single])
    for (const entry of entries as object[]) {
      const found = wrongField(entry, descriptor, `${name}.`);
      if (found !== undefined) return found;
      const own = (entry as { platform?: unknown }).platform;
      const inner = isObject(own) ? wrongField(own, platform, `${name}.platform.`) : undefined;
      if (inner !== undefined) return inner;
    }
  return undefined;
}
