// The objects of a file: pods with what they need of the others. All that is refused is told at once.
import { GantryError } from '../errors.ts';
import { readDeployment } from './deployment.ts';
import { Fields, invalidField, type Refusals } from './fields.ts';
import { type Metadata, readMetadata } from './metadata.ts';
import { type PlannedPod, readPod } from './pod.ts';
import { applyService } from './service.ts';
import { type AllSettings, readConfigMap, readSecret } from './settings.ts';
import { readQuantity } from './quantity.ts';
import type { PlannedVolume } from './volumes.ts';

export interface Objects {
  pods: PlannedPod[];
  /** Volumes of claims, which outlive pods. */
  claims: PlannedVolume[];
  /** What the user is told. */
  warnings: string[];
}

/** One object; its kind and version are known. */
interface Item {
  kind: string;
  fields: Fields;
  metadata: Metadata;
}

const versions: Record<string, string> = {
  Pod: 'v1',
  Deployment: 'apps/v1',
  Service: 'v1',
  ConfigMap: 'v1',
  Secret: 'v1',
  PersistentVolumeClaim: 'v1',
};

/** @param settings documents of which only ConfigMaps are taken: --configmap. @throws {GantryError} with the paths that are refused. */
export function readObjects(documents: unknown[], settings: unknown[] = []): Objects {
  const refusals: Refusals = [];
  const items = documents.flatMap((document, index) => openItems(document, `document ${index + 1}`, refusals));
  const more = settings.flatMap((document, index) =>
    openItems(document, `--configmap document ${index + 1}`, refusals),
  );
  const foreign = more.find(({ kind }) => kind !== 'ConfigMap');
  if (foreign !== undefined) throw invalidField(foreign.fields.path, 'only ConfigMaps are taken from --configmap');
  const all: AllSettings = new Map();
  for (const { kind, fields, metadata } of [...more, ...items])
    if (kind === 'ConfigMap' || kind === 'Secret') {
      const key = `${kind} ${metadata.name}`;
      if (all.has(key)) throw invalidField(fields.path, 'it is there twice');
      all.set(key, kind === 'ConfigMap' ? readConfigMap(fields, metadata.name) : readSecret(fields, metadata.name));
    }
  const objects: Objects = { pods: [], claims: [], warnings: [] };
  for (const { kind, fields, metadata } of items) {
    if (kind === 'Pod') objects.pods.push(readPod(specOf(fields), metadata, all));
    else if (kind === 'Deployment') objects.pods.push(...readDeployment(specOf(fields), metadata, all));
    else if (kind === 'PersistentVolumeClaim') objects.claims.push(readClaim(specOf(fields), metadata));
  }
  // Services choose among all pods, wherever these stand.
  for (const { kind, fields, metadata } of items) {
    if (kind === 'Service') objects.warnings.push(...applyService(specOf(fields), metadata, objects.pods));
    fields.written('status');
    fields.end();
  }
  const names = objects.pods.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalidField(`Pod "${twice}":`, 'it is there twice');
  if (refusals.length > 0)
    throw new GantryError('UNSUPPORTED', `Cannot play it:\n  ${[...new Set(refusals)].join('\n  ')}`, {
      hint: 'Leave these fields out: gantry does what a file says, or says that it does not',
    });
  return objects;
}

/** A List holds several objects. */
function openItems(document: unknown, place: string, refusals: Refusals): Item[] {
  const shallow = new Fields(document, `${place}:`, refusals);
  const kind = shallow.need('kind');
  const version = shallow.need('apiVersion');
  if (kind === 'List') {
    const { items } = document as { items?: unknown };
    if (!Array.isArray(items)) throw invalidField(shallow.at('items'), 'it must be a list');
    return items.flatMap((item, index) => openItems(item, `${place}, items[${index}]`, refusals));
  }
  const known = Object.hasOwn(versions, kind) ? versions[kind] : undefined;
  if (known === undefined)
    throw new GantryError('UNSUPPORTED', `Cannot play a ${kind} (${place})`, {
      hint: `What can be played: ${Object.keys(versions).join(', ')}`,
    });
  if (version !== known) throw invalidField(shallow.at('apiVersion'), `a ${kind} has "${known}", not "${version}"`);
  const { metadata: raw } = document as { metadata?: { name?: unknown } };
  const name = typeof raw?.name === 'string' ? ` "${raw.name}"` : ` (${place})`;
  const fields = new Fields(document, `${kind}${name}:`, refusals);
  fields.written('kind', 'apiVersion');
  return [{ kind, fields, metadata: readMetadata(fields) }];
}

function specOf(fields: Fields): Fields {
  const spec = fields.child('spec');
  if (spec === undefined) throw invalidField(fields.at('spec'), 'it is missing');
  return spec;
}

/** A claim is a named volume: its size and its modes of access cannot be held to. */
function readClaim(spec: Fields, { name }: Metadata): PlannedVolume {
  spec.texts('accessModes');
  spec.only('volumeMode', 'Filesystem');
  spec.only('storageClassName', '', 'standard', 'local', 'manual', 'hostpath');
  const resources = spec.child('resources');
  const requests = resources?.child('requests');
  if (requests !== undefined) readQuantity(requests, 'storage');
  requests?.end();
  resources?.end();
  spec.end();
  return { name, options: {}, files: [], kept: true };
}

/** Pods, Deployments and claims by their names alone: what is taken down need not be understood. */
export function namesOf(documents: unknown[]): { pods: string[]; deployments: string[]; claims: string[] } {
  const items = documents.flatMap((document, index) => openItems(document, `document ${index + 1}`, []));
  const named = (kind: string): string[] =>
    items.filter((item) => item.kind === kind).map(({ metadata }) => metadata.name);
  return { pods: named('Pod'), deployments: named('Deployment'), claims: named('PersistentVolumeClaim') };
}
