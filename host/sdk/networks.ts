// Networks of a user's own.
import type { Api } from '../client/api.ts';
import { type Abortable, under } from './abort.ts';
import { type NetworkDetails, networkDetails } from './answers.ts';
import type { Container } from './container.ts';
import { type Filters, filtersQuery, name } from './query.ts';

/** What a network is made of. */
export interface NetworkOptions extends Abortable {
  name: string;
  /** Without a way out. */
  internal?: boolean;
  /** `'10.5.0.0/24'`; default: one that is free. */
  subnet?: string;
  gateway?: string;
  labels?: Record<string, string>;
}

/** A network that was made here. `await using` removes it. */
export class Network implements AsyncDisposable {
  readonly id: string;
  readonly name: string;
  readonly #networks: Networks;

  /** @internal */
  constructor(networks: Networks, id: string, name: string) {
    this.#networks = networks;
    this.id = id;
    this.name = name;
  }

  /** Removes it; no container may be in it. */
  async remove(options: Abortable = {}): Promise<void> {
    await this.#networks.remove(this.id, options);
  }

  /** Removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

/** The engine's networks. */
export class Networks {
  readonly #api: Api;

  /** @internal */
  constructor(api: Api) {
    this.#api = api;
  }

  /** Makes a network. */
  async create(options: NetworkOptions): Promise<Network> {
    const { name: Name, internal = false, subnet, gateway, labels = {}, signal } = options;
    signal?.throwIfAborted();
    const range = { ...(subnet ? { Subnet: subnet } : {}), ...(gateway ? { Gateway: gateway } : {}) };
    const body = {
      Name,
      Internal: internal,
      Labels: labels,
      ...(subnet || gateway ? { IPAM: { Config: [range] } } : {}),
    };
    const { Id } = await this.#api.send<{ Id: string }>('POST', '/networks/create', { body });
    if (signal?.aborted) await this.remove(Id);
    signal?.throwIfAborted();
    return new Network(this, Id, Name);
  }

  /** All networks, or those that docker's filters let through. */
  async list({ filters, signal }: { filters?: Filters } & Abortable = {}): Promise<NetworkDetails[]> {
    const query = { filters: filtersQuery(filters) };
    const get = () => this.#api.send<unknown[]>('GET', '/networks', { query, signal });
    return (await under(signal, get)).map(networkDetails);
  }

  /** One network, by name or ID. @throws {GantryError} NETWORK_NOT_FOUND. */
  async inspect(network: string, { signal }: Abortable = {}): Promise<NetworkDetails> {
    const get = () => this.#api.send<unknown>('GET', `/networks/${name(network)}`, { signal });
    return networkDetails(await under(signal, get));
  }

  /** Puts a container into a network while it runs. */
  async connect(
    network: string,
    container: Container | string,
    { aliases, signal }: { aliases?: string[] } & Abortable = {},
  ): Promise<void> {
    const body = { Container: idOf(container), ...(aliases ? { EndpointConfig: { Aliases: aliases } } : {}) };
    await this.#post(`${name(network)}/connect`, body, signal);
  }

  /** Takes it out again. */
  async disconnect(network: string, container: Container | string, { signal }: Abortable = {}): Promise<void> {
    await this.#post(`${name(network)}/disconnect`, { Container: idOf(container) }, signal);
  }

  /** Removes a network; no container may be in it. */
  async remove(network: string, { signal }: Abortable = {}): Promise<void> {
    await under(signal, () => this.#api.send('DELETE', `/networks/${name(network)}`, { signal }));
  }

  async #post(path: string, body: object, signal: AbortSignal | undefined): Promise<void> {
    await under(signal, () => this.#api.send('POST', `/networks/${path}`, { body, signal }));
  }
}

function idOf(container: Container | string): string {
  return typeof container === 'string' ? container : container.id;
}
