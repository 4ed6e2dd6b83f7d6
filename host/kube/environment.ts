// env and envFrom of a container → NAME=VALUE.
import { type Fields, invalidField } from './fields.ts';
import type { Metadata } from './metadata.ts';
import { type AllSettings, findSettings } from './settings.ts';

export function readEnvironment(container: Fields, pod: Metadata, settings: AllSettings): Map<string, string> {
  const found = new Map<string, string>();
  for (const source of container.list('envFrom')) {
    const prefix = source.text('prefix') ?? '';
    for (const [field, kind] of [
      ['configMapRef', 'ConfigMap'],
      ['secretRef', 'Secret'],
    ] as const) {
      const reference = source.child(field);
      if (reference === undefined) continue;
      const all = findSettings(settings, kind, reference.need('name'), reference);
      for (const [key, value] of all?.data ?? []) found.set(prefix + key, value.toString());
      reference.end();
    }
    source.end();
  }
  for (const variable of container.list('env')) {
    const name = variable.need('name');
    if (name.includes('=')) throw invalidField(variable.at('name'), `"${name}" has "=" in it`);
    const value = variable.text('value');
    const source = variable.child('valueFrom');
    if (source === undefined) found.set(name, expand(value ?? '', found));
    else {
      if (value !== undefined && value !== '') throw invalidField(variable.path, 'it has both value and valueFrom');
      const text = valueFrom(source, pod, settings);
      if (text !== undefined) found.set(name, text);
    }
    variable.end();
  }
  return found;
}

function valueFrom(source: Fields, pod: Metadata, settings: AllSettings): string | undefined {
  let text: string | undefined;
  for (const [field, kind] of [
    ['configMapKeyRef', 'ConfigMap'],
    ['secretKeyRef', 'Secret'],
  ] as const) {
    const reference = source.child(field);
    if (reference === undefined) continue;
    const [name, key] = [reference.need('name'), reference.need('key')];
    const optional = reference.flag('optional') === true;
    const value = findSettings(settings, kind, name, reference)?.data.get(key);
    if (value === undefined && !optional)
      throw invalidField(reference.at('key'), `${kind} "${name}" has no key "${key}"`);
    text = value?.toString();
    reference.end();
  }
  const field = source.child('fieldRef');
  if (field !== undefined) {
    field.only('apiVersion', 'v1');
    text = fieldOf(pod, field);
    field.end();
  }
  source.end();
  return text;
}

/** What of a pod is known before it runs. */
function fieldOf(pod: Metadata, reference: Fields): string | undefined {
  const path = reference.need('fieldPath');
  if (path === 'metadata.name') return pod.name;
  if (path === 'metadata.namespace') return pod.namespace;
  const [, kind, key] = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path) ?? [];
  if (key !== undefined) return pod[kind as 'labels' | 'annotations'][key] ?? '';
  reference.refuse(
    'fieldPath',
    `"${path}" is not carried out: only name, namespace, labels and annotations are known before a pod runs`,
  );
  return undefined;
}

/** "$(NAME)" → the variable's value, "$$(NAME)" → "$(NAME)"; what is not known stays. */
export function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^)]+)\)/g, (whole, name?: string) =>
    name === undefined ? '$' : (variables.get(name) ?? whole),
  );
}
