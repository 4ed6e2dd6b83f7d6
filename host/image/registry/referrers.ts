// What a registry holds about an image: signatures, attestations, SBOMs (distribution-spec, "Listing Referrers").
import { GantryError } from '../../errors.ts';
import { type Descriptor, MANIFEST_MAX, parseManifest } from '../manifest.ts';
import { pagesOf } from './pages.ts';
import type { Session } from './registry-session.ts';

export interface Referrer {
  mediaType: string;
  artifactType: string;
  digest: string;
  /** Bytes of its manifest. */
  size: number;
  annotations: Record<string, string>;
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
/** Of one image, all pages together. */
const REFERRERS_MAX = 10_000;

/**
 * By the registry's endpoint; where it has none, by the tag that clients keep in its place ("Referrers Tag Schema").
 * @param artifactType only those; registries may filter, and need not.
 */
export async function referrersOf(session: Session, digest: string, artifactType: string): Promise<Referrer[]> {
  const query = artifactType === '' ? '' : `?${new URLSearchParams({ artifactType })}`;
  const lists =
    (await readLists(session, `referrers/${digest}${query}`)) ??
    (await readLists(session, `manifests/${digest.replace(':', '-')}`)) ??
    [];
  const found = new Map(lists.map((one) => [one.digest, referrer(one)]));
  return [...found.values()].filter((one) => artifactType === '' || one.artifactType === artifactType);
}

/** Undefined where the registry answers 404. */
async function readLists(session: Session, path: string): Promise<Descriptor[] | undefined> {
  let all: Descriptor[] | undefined;
  for await (const { bytes, headers } of pagesOf(session, path, MANIFEST_MAX, {
    headers: { accept: INDEX },
    accept: [404],
  })) {
    const mediaType = (headers['content-type'] ?? '').split(';')[0]!.trim();
    const list = parseManifest(bytes, mediaType, session.name);
    if (list.kind !== 'index')
      throw new GantryError('REGISTRY_FAILED', `Cannot list the referrers of "${session.name}": "${path}" is no index`);
    all = [...(all ?? []), ...list.manifests];
    if (all.length > REFERRERS_MAX)
      throw new GantryError(
        'REGISTRY_FAILED',
        `Cannot list the referrers of "${session.name}": they are more than ${REFERRERS_MAX}`,
        { hint: 'Ask for one type: --filter artifact-type=TYPE' },
      );
  }
  return all;
}

function referrer({ mediaType = '', artifactType = '', digest, size, annotations = {} }: Descriptor): Referrer {
  return { mediaType, artifactType, digest, size, annotations };
}
