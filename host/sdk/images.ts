// Images: pulled, loaded, built, listed, removed.
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { type Api, queryOf } from '../client/api.ts';
import { GantryError } from '../errors.ts';
import { type Abortable, under } from './abort.ts';
import { type ImageSummary, imageSummary } from './answers.ts';
import { followProgress, type Progress } from './progress.ts';
import { type Filters, filtersQuery, imageName } from './query.ts';

/** Options of what takes long. */
export interface ProgressOptions extends Abortable {
  /** Told what happens, as it happens. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** Options of {@link Images.pull}. */
export interface PullOptions extends ProgressOptions {
  /** `'linux/arm64'`; default: the engine's own. */
  platform?: string;
  /** Default: who is logged in by `gantry login` or `docker login`. */
  auth?: { username: string; password: string };
}

/** Options of {@link Images.build}. */
export interface BuildOptions extends ProgressOptions {
  /** Names of the image. */
  tags?: string[];
  /** Path of the Dockerfile in the context; default `'Dockerfile'`. */
  dockerfile?: string;
  buildArgs?: Record<string, string>;
  labels?: Record<string, string>;
  /** Name of the stage to build. */
  target?: string;
  platform?: string;
  /** Builds all anew. */
  noCache?: boolean;
  /** Asks registries for newer base images. */
  pull?: boolean;
}

/** Bytes of an archive: the path of a file, the bytes, or the bytes as they come. */
export type Archive = string | Uint8Array | AsyncIterable<Uint8Array>;

/** The engine's images. */
export class Images {
  readonly #api: Api;

  /** @internal */
  constructor(api: Api) {
    this.#api = api;
  }

  /** Pulls an image (`:latest` where no tag is given). */
  async pull(image: string, { platform, auth, onProgress, signal }: PullOptions = {}): Promise<ImageSummary> {
    const headers =
      auth === undefined
        ? await (await import('../login-header.ts')).loginHeader(image)
        : { 'x-registry-auth': Buffer.from(JSON.stringify(auth)).toString('base64url') };
    const query = { fromImage: image, platform, ...(/[:@][^/]*$/.test(image) ? {} : { tag: 'latest' }) };
    const answer = await under(signal, () => this.#api.open('POST', '/images/create', { headers, query, signal }));
    await followProgress(answer, onProgress, signal);
    return this.inspect(image, { signal });
  }

  /** Loads the images of an archive, docker's or OCI's, compressed or not. @returns names, or IDs of those without one. */
  async load(archive: Archive, options: ProgressOptions = {}): Promise<string[]> {
    const { said } = await this.#upload('/images/load', archive, {}, options);
    return [...said.matchAll(/^Loaded image(?: ID)?: (\S+)$/gm)].map(([, loaded = '']) => loaded);
  }

  /** Builds an image from a tar archive of a context. @returns the image's ID. */
  async build(context: Archive, options: BuildOptions = {}): Promise<string> {
    const { tags, dockerfile, buildArgs, labels, target, platform, noCache, pull, onProgress, signal } = options;
    const query = {
      t: tags,
      dockerfile,
      buildargs: buildArgs && JSON.stringify(buildArgs),
      labels: labels && JSON.stringify(labels),
      target,
      platform,
      nocache: noCache,
      pull,
    };
    const { ids } = await this.#upload('/build', context, query, { onProgress, signal });
    const id = ids.at(-1);
    if (id === undefined) throw new GantryError('INTERNAL', 'Cannot tell the image of a build: the engine named none');
    return id;
  }

  /** All images, or those that docker's filters let through. */
  async list({ filters, signal }: { filters?: Filters } & Abortable = {}): Promise<ImageSummary[]> {
    const found = await under(signal, () =>
      this.#api.send<unknown[]>('GET', '/images/json', {
        query: { filters: filtersQuery(filters) },
        signal,
      }),
    );
    return found.map(imageSummary);
  }

  /** One image, by name or ID. @throws {GantryError} IMAGE_NOT_FOUND. */
  async inspect(image: string, { signal }: Abortable = {}): Promise<ImageSummary> {
    const get = () => this.#api.send<unknown>('GET', `/images/${imageName(image)}/json`, { signal });
    return imageSummary(await under(signal, get));
  }

  /** Gives an image a further name. */
  async tag(image: string, newName: string, { signal }: Abortable = {}): Promise<void> {
    const [, repo = newName, tag] = /^(.*?)(?::([^:/]+))?$/.exec(newName) ?? [];
    await under(signal, () =>
      this.#api.send('POST', `/images/${imageName(image)}/tag`, { query: { repo, tag }, signal }),
    );
  }

  /** Removes a name, and the image with its last one. */
  async remove(image: string, { force, signal }: { force?: boolean } & Abortable = {}): Promise<void> {
    await under(signal, () => this.#api.send('DELETE', `/images/${imageName(image)}`, { query: { force }, signal }));
  }

  /** Sends an archive and reads what is told about it. */
  async #upload(
    path: string,
    archive: Archive,
    query: Parameters<typeof queryOf>[0],
    { onProgress, signal }: ProgressOptions,
  ): Promise<{ ids: string[]; said: string }> {
    signal?.throwIfAborted();
    const stream =
      typeof archive === 'string'
        ? createReadStream(archive)
        : Readable.from(archive instanceof Uint8Array ? [archive] : archive);
    // What cannot be read ends the request: the engine would wait for the rest.
    const unread = new AbortController();
    stream.once('error', (cause: NodeJS.ErrnoException) => unread.abort(readFailure(archive, cause)));
    const either = signal === undefined ? unread.signal : AbortSignal.any([signal, unread.signal]);
    try {
      return await under(either, async () => {
        const headers = { 'content-type': 'application/x-tar' };
        const answer = await this.#api.open('POST', path + queryOf(query), { headers, stream, signal: either });
        return followProgress(answer, onProgress, either);
      });
    } finally {
      stream.destroy();
    }
  }
}

function readFailure(archive: Archive, cause: NodeJS.ErrnoException): unknown {
  if (typeof archive !== 'string') return cause;
  return new GantryError('PATH_NOT_FOUND', `Cannot read the archive "${archive}": ${cause.code}`, { cause });
}
