// Links: other containers under names of one's own. Docker's legacy, which Compose files still have.
import { GantryError } from '../../errors.ts';
import type { HostConfig } from '../../types.ts';
import type { ContainerRecord } from '../record.ts';
import type { ContainerFiles } from '../state/layout.ts';
import { changeLinkedHosts } from './network-files.ts';

export interface Link {
  /** Name or ID. */
  container: string;
  alias: string;
}

/** "NAME", "NAME:ALIAS", or as inspection tells it: "/NAME:/OWNER/ALIAS". @throws {GantryError} INVALID_ARGUMENT. */
export function readLink(text: string): Link {
  const [name = '', given = name, ...more] = text.split(':');
  const container = name.replace(/^\//, '');
  const alias = given.slice(given.lastIndexOf('/') + 1);
  if (container === '' || alias === '' || more.length > 0 || /\s/.test(text))
    throw new GantryError('INVALID_ARGUMENT', `Bad format for links: "${text}"`, { hint: 'NAME or NAME:ALIAS' });
  return { container, alias };
}

/**
 * What a container of the default bridge is linked to, by ID: a name may become another's. In networks of a user's own the
 * endpoints have links, which are looked up when they are asked for.
 * @throws {GantryError} INVALID_ARGUMENT, in docker's words.
 */
export function settleLinks(host: HostConfig, find: (name: string) => ContainerRecord): void {
  const { links = [], networks = {}, networkMode } = host;
  delete host.links;
  const wanted = [...new Set([...links, ...(networks.bridge?.links ?? [])])].map(readLink);
  delete networks.bridge?.links;
  if (wanted.length === 0) return;
  const conflict = (type: string): never => {
    throw new GantryError('INVALID_ARGUMENT', `Conflicting options: ${type} networking cannot be used with links`, {
      hint: 'Links need the default bridge, or a network of your own',
    });
  };
  if (networkMode === 'host' || networkMode === 'none') conflict(`${networkMode} type`);
  if (networkMode.startsWith('container:')) conflict('container type');
  if (networkMode !== 'bridge') return; // Docker does not look at them: names are found there without.
  host.links = wanted.map(({ container, alias }) => {
    const target = findLinked(container, find);
    if (target.config.host.networkMode === 'host') conflict('host type');
    return `${target.id}:${alias}`;
  });
}

function findLinked(name: string, find: (name: string) => ContainerRecord): ContainerRecord {
  try {
    return find(name);
  } catch (cause) {
    // Not "no such container": docker's client takes what is not found at a creation for the image.
    throw new GantryError('INVALID_ARGUMENT', `Could not get container for ${name}`, {
      cause,
      hint: 'A link names a container that exists: gantry ps -a',
    });
  }
}

/** One that was removed meanwhile is linked no more. */
function linkedTo({ config }: ContainerRecord, find: (id: string) => ContainerRecord | undefined) {
  return (config.host.links ?? []).map(readLink).flatMap(({ container, alias }) => {
    const target = find(container);
    return target === undefined ? [] : [{ target, alias }];
  });
}

/** Lines of /etc/hosts for a container of the default bridge that starts. @throws {GantryError} INVALID_STATE. */
export function linkedHosts(record: ContainerRecord, find: (id: string) => ContainerRecord | undefined): string[] {
  return linkedTo(record, find).flatMap(({ target, alias }) => {
    if (target.state.pid === 0)
      throw new GantryError(
        'INVALID_STATE',
        `Cannot link to a non running container: /${target.name} AS /${record.name}/${alias}`,
        { hint: `Start it first: gantry start ${target.name}` },
      );
    if (target.endpoints.bridge === undefined)
      throw new GantryError(
        'INVALID_ARGUMENT',
        `Cannot link to /${target.name}, as it does not belong to the default network`,
        { hint: 'Put both into a network of your own: names are found there without links' },
      );
    return linesOf(target, alias);
  });
}

/** Docker's names: the alias, the host name, the container's own. */
function linesOf({ name, config, endpoints }: ContainerRecord, alias: string): string[] {
  const names = [...new Set([alias, config.hostname, name])].join(' ');
  const { ipv4, ipv6 } = endpoints.bridge!;
  return [ipv4, ipv6].filter(Boolean).map((address) => `${address}\t${names}\n`);
}

/** A container, as far as links go. */
interface Linked {
  record: ContainerRecord;
  files: ContainerFiles;
  running: object | undefined;
}

/** To be called when a container has started: whoever is linked to it finds it at its address of now. */
export function renewLinks({ record: started }: Linked, others: Iterable<Linked>): void {
  if (started.endpoints.bridge === undefined) return;
  for (const { record, files, running } of others)
    if (running !== undefined)
      for (const { target, alias } of linkedTo(record, (id) => (id === started.id ? started : undefined)))
        changeLinkedHosts(files, linesOf(target, alias));
}

/** As inspection shows them: "/NAME:/OWNER/ALIAS". */
export function shownLinks(record: ContainerRecord, nameOf: (id: string) => string | undefined): string[] {
  return (record.config.host.links ?? []).map(readLink).flatMap(({ container, alias }) => {
    const name = nameOf(container);
    return name === undefined ? [] : [`/${name}:/${record.name}/${alias}`];
  });
}

/** Whom a container means by a name in a network of a user's own. */
export function linkTarget({ config }: ContainerRecord, network: string, name: string): string | undefined {
  const links = config.host.networks?.[network]?.links ?? [];
  return links.map(readLink).find(({ alias }) => alias.toLowerCase() === name.toLowerCase())?.container;
}
