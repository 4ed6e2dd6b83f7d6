// Names, labels and annotations of an object.
import { type Fields, invalidField } from './fields.ts';

export interface Metadata {
  name: string;
  namespace: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

/** RFC 1123, section 2.1: a label of a host's name, as Kubernetes wants most names. */
export const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** @param named false for a template, whose pods are named by what makes them. */
export function readMetadata(object: Fields, named = true): Metadata {
  const fields = object.child('metadata');
  if (fields === undefined) {
    if (named) throw invalidField(object.at('metadata.name'), 'it is missing');
    return { name: '', namespace: 'default', labels: {}, annotations: {} };
  }
  const name = named ? fields.need('name') : (fields.text('name') ?? '');
  if (named && !SUBDOMAIN.test(name))
    throw invalidField(fields.at('name'), `"${name}" has more than a-z, 0-9, "-" and "."`);
  const metadata = {
    name,
    namespace: fields.text('namespace') ?? 'default',
    labels: fields.textMap('labels'),
    annotations: fields.textMap('annotations'),
  };
  fields.written('creationTimestamp', 'uid', 'resourceVersion', 'generation', 'managedFields', 'selfLink');
  fields.end();
  return metadata;
}
