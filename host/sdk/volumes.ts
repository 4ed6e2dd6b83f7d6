// Volumes: what outlives containers.
import { randomBytes } from 'node:crypto';
import type { Api } from '../client/api.ts';
import { type Abortable, under } from './abort.ts';
import { type VolumeDetails, volumeDetails } from './answers.ts';
import { type Filters, filtersQuery, name } from './query.ts';

/** A volume that was made here. `await using` removes it. */
export class Volume implements AsyncDisposable {
  readonly name: string;
  readonly #volumes: Volumes;

  /** @internal */
  constructor(volumes: Volumes, name: string) {
    this.#volumes = volumes;
    this.name = name;
  }

  /** Removes it with its content; no container may have it. */
  async remove(options: { force?: boolean } & Abortable = {}): Promise<void> {
    await this.#volumes.remove(this.name, options);
  }

  /** Removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

/** The engine's volumes. */
export class Volumes {
  readonly #api: Api;

  /** @internal */
  constructor(api: Api) {
    this.#api = api;
  }

  /** Makes a volume, with a name that is made up where none is given; one of this name that is there is taken as it is. */
  async create(options: { name?: string; labels?: Record<string, string> } & Abortable = {}): Promise<Volume> {
    // Without a name it would go with the first container that has it.
    const { name: Name = `volume-${randomBytes(8).toString('hex')}`, labels: Labels = {}, signal } = options;
    const body = { Name, Labels };
    const made = await under(signal, () =>
      this.#api.send<{ Name: string }>('POST', '/volumes/create', { body, signal }),
    );
    return new Volume(this, made.Name);
  }

  /** All volumes, or those that docker's filters let through. */
  async list({ filters, signal }: { filters?: Filters } & Abortable = {}): Promise<VolumeDetails[]> {
    const query = { filters: filtersQuery(filters) };
    const get = () => this.#api.send<{ Volumes: unknown[] | null }>('GET', '/volumes', { query, signal });
    return ((await under(signal, get)).Volumes ?? []).map(volumeDetails);
  }

  /** One volume. @throws {GantryError} VOLUME_NOT_FOUND. */
  async inspect(volume: string, { signal }: Abortable = {}): Promise<VolumeDetails> {
    const get = () => this.#api.send<unknown>('GET', `/volumes/${name(volume)}`, { signal });
    return volumeDetails(await under(signal, get));
  }

  /** Removes a volume with its content; no container may have it. */
  async remove(volume: string, { force, signal }: { force?: boolean } & Abortable = {}): Promise<void> {
    const query = { force };
    await under(signal, () => this.#api.send('DELETE', `/volumes/${name(volume)}`, { query, signal }));
  }
}
