// What a registry says about a reference without pulling it: descriptor and platforms, and what refers to it.
import { GantryError } from '../../errors.ts';
import { digestOf } from '../content-store.ts';
import { type Credentials, storedCredentials } from './credentials.ts';
import { type Descriptor, parseManifest } from '../manifest.ts';
import { fetchManifest } from '../pull.ts';
import { familiarName, type Reference } from '../reference.ts';
import { mirrorsOf } from './registry-settings.ts';
import type { Referrer } from './referrers.ts';
import { createRegistry, type Registry } from './registry.ts';

/** As OCI writes them, which docker's API hands on: "os", "architecture", "variant", "os.version", "os.features". */
export type RemotePlatform = Record<string, string | string[]>;

export interface RemoteImage {
  mediaType: string;
  digest: string;
  /** Bytes of the manifest or index. */
  size: number;
  platforms: RemotePlatform[];
}

/** Configurations are small; what is larger is none. */
const CONFIG_MAX = 8 * 1024 * 1024;

export interface Referrers {
  /** Of the manifest or index that the reference names. */
  digest: string;
  referrers: Referrer[];
}

/** @throws {GantryError} IMAGE_NOT_FOUND, AUTH_FAILED, REGISTRY_FAILED, INVALID_ARCHIVE. */
export function inspectRemote(reference: Reference, credentials: Credentials | undefined): Promise<RemoteImage> {
  return ask(
    reference,
    credentials,
    (registry) => describe(registry, reference),
    () => true,
  );
}

/** @throws {GantryError} IMAGE_NOT_FOUND, AUTH_FAILED, REGISTRY_FAILED, INVALID_ARCHIVE. */
export function remoteReferrers(
  reference: Reference,
  artifactType: string,
  credentials: Credentials | undefined,
): Promise<Referrers> {
  const list = async (registry: Registry): Promise<Referrers> => {
    const { digest: named, tag = 'latest' } = reference;
    const { bytes } = await fetchManifest(registry, named ?? tag, named, familiarName(reference));
    const digest = digestOf(bytes);
    return { digest, referrers: await registry.referrers(digest, artifactType) };
  };
  // Mirrors of images seldom carry what is about them.
  return ask(reference, credentials, list, ({ referrers }) => referrers.length > 0);
}

/** @param serves whether a mirror's answer will do; else the registry itself is asked. */
async function ask<T>(
  reference: Reference,
  credentials: Credentials | undefined,
  work: (registry: Registry) => Promise<T>,
  serves: (answer: T) => boolean,
): Promise<T> {
  for (const mirror of mirrorsOf(reference.registry)) {
    const registry = createRegistry(reference, { mirror }, 'inspect');
    // What a mirror has not the registry itself may have.
    const found = await work(registry).catch(() => undefined);
    registry.close();
    if (found !== undefined && serves(found)) return found;
  }
  const known = credentials ?? (await storedCredentials(reference.registry));
  const registry = createRegistry(reference, { credentials: known }, 'inspect');
  try {
    return await work(registry);
  } finally {
    registry.close();
  }
}

async function describe(registry: Registry, reference: Reference): Promise<RemoteImage> {
  const name = familiarName(reference);
  const wanted = reference.digest ?? reference.tag ?? 'latest';
  const { bytes, mediaType } = await fetchManifest(registry, wanted, reference.digest, name);
  const document = parseManifest(bytes, mediaType, name);
  const own = (JSON.parse(bytes.toString()) as { mediaType?: string }).mediaType;
  const platforms =
    document.kind === 'index'
      ? document.manifests.flatMap(({ platform }) => (platform ? [platformOf({ ...platform })] : []))
      : [platformOf(await readConfig(registry, document.config, name))];
  return {
    mediaType: own ?? mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
    platforms,
  };
}

async function readConfig(registry: Registry, { digest, size }: Descriptor, name: string): Promise<object> {
  const wrong = (reason: string, cause?: unknown): GantryError =>
    new GantryError('INVALID_ARCHIVE', `Cannot inspect "${name}": its configuration ${reason}`, { cause });
  if (size > CONFIG_MAX) throw wrong(`is larger than ${CONFIG_MAX} bytes`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of registry.blob(digest, size)) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (digestOf(bytes) !== digest) throw wrong('has another digest than the manifest says');
  try {
    return { ...(JSON.parse(bytes.toString()) as object) };
  } catch (cause) {
    throw wrong('is not JSON', cause);
  }
}

function platformOf(source: object): RemotePlatform {
  const keys = ['architecture', 'os', 'os.version', 'os.features', 'variant'];
  const isKnown = (value: unknown): boolean =>
    (typeof value === 'string' && value !== '') || (Array.isArray(value) && value.length > 0);
  return Object.fromEntries(Object.entries(source).filter(([key, value]) => keys.includes(key) && isKnown(value)));
}
