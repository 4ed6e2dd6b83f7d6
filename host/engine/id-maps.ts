// Which ids of the host a container's user namespace gets: as the user mapped them, or a range that no other container has.
import { readFileSync } from 'node:fs';
import { GantryError } from '../errors.ts';
import type { ContainerConfig } from '../types.ts';
import type { ContainerRecord, IdMaps } from './record.ts';

/** Ids of a container whose range is chosen for it. */
const DEFAULT_SIZE = 65536;
const LARGEST_SIZE = 2 ** 32 - 2;

interface Range {
  start: number;
  size: number;
}

/**
 * Where /etc/subuid names no user "containers": ids that neither useradd gives out (login.defs(5), SUB_UID_MAX 600100000) nor
 * systemd uses for its own containers (up to 1879048191) and mapped directories (from 2147352576).
 */
const DEFAULT_RANGE: Range = { start: 1_879_048_192, size: 268_304_384 };

/**
 * The maps of a container's own user namespace, settled at creation; undefined: it has none, or shares another's.
 * @param others maps of every other container. @param etc where subuid and subgid lie.
 * @throws {GantryError} INVALID_ARGUMENT; IN_USE where no range is free.
 */
export function settleIdMaps({ host }: ContainerConfig, others: IdMaps[], etc = '/etc'): IdMaps | undefined {
  const { userMode, uidMaps = [], gidMaps = [] } = host;
  const given = uidMaps.length + gidMaps.length > 0;
  if (given) {
    if (!['', 'private', 'host'].includes(userMode))
      throw new GantryError(
        'INVALID_ARGUMENT',
        `Cannot map ids with --userns ${userMode}: that says which ids already`,
        {
          hint: 'Give --uidmap and --gidmap alone, or --userns alone',
        },
      );
    return { uid: uidMaps.length > 0 ? uidMaps : gidMaps, gid: gidMaps.length > 0 ? gidMaps : uidMaps };
  }
  const [mode = '', options] = split(userMode);
  if (mode !== 'auto' && mode !== 'private') return undefined;
  const size = mode === 'auto' ? readSize(options) : DEFAULT_SIZE;
  return {
    uid: [
      `0:${freeStart(
        size,
        subordinate(`${etc}/subuid`),
        others.flatMap(({ uid }) => uid),
      )}:${size}`,
    ],
    gid: [
      `0:${freeStart(
        size,
        subordinate(`${etc}/subgid`),
        others.flatMap(({ gid }) => gid),
      )}:${size}`,
    ],
  };
}

/** The configuration with the ids that it runs with: what planning is given. */
export function withIdMaps({ config, idMaps }: Pick<ContainerRecord, 'config' | 'idMaps'>): ContainerConfig {
  const { host } = config;
  if (idMaps !== undefined) return { ...config, host: { ...host, uidMaps: idMaps.uid, gidMaps: idMaps.gid } };
  return host.userMode.startsWith('container:') ? { ...config, host: { ...host, userMode: 'host' } } : config;
}

/** The maps of the container whose user namespace is shared; undefined where it has none, or none is shared. */
export function sharedIdMaps(
  { host }: ContainerConfig,
  find: (name: string) => { idMaps?: IdMaps | undefined },
): IdMaps | undefined {
  const [, name] = /^container:(.+)$/.exec(host.userMode) ?? [];
  return name === undefined ? undefined : find(name).idMaps;
}

function split(mode: string): [string, string | undefined] {
  const colon = mode.indexOf(':');
  return colon < 0 ? [mode, undefined] : [mode.slice(0, colon), mode.slice(colon + 1)];
}

/** "size=COUNT", the one option of podman's auto that is carried out. */
function readSize(options: string | undefined): number {
  if (options === undefined) return DEFAULT_SIZE;
  const [, digits] = /^size=(\d{1,10})$/.exec(options) ?? [];
  const size = Number(digits);
  if (digits === undefined || size < 1 || size > LARGEST_SIZE)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the user namespace mode "auto:${options}"`, {
      hint: 'auto, or auto:size=COUNT with 1 to 4294967294 ids',
    });
  return size;
}

/** Ranges of the user "containers" (subuid(5)), as podman takes them; else our own. */
function subordinate(path: string): Range[] {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // No such file: nobody has subordinate ids.
  }
  const ranges = [...text.matchAll(/^containers:(\d+):(\d+)\s*$/gm)].map(([, start, size]) => ({
    start: Number(start),
    size: Number(size),
  }));
  return ranges.length > 0 ? ranges : [DEFAULT_RANGE];
}

/** "0:100000:65536" → the host's part. */
function hostRange(map: string): Range {
  const [, start = '0', size = '1'] = map.split(':');
  return { start: Number(start), size: Number(size) };
}

/** Lowest start of a range that overlaps with no other. */
function freeStart(size: number, ranges: Range[], taken: string[]): number {
  const others = taken.map(hostRange).sort((a, b) => a.start - b.start);
  for (const range of ranges) {
    let start = range.start;
    for (const other of others)
      if (start < other.start + other.size && other.start < start + size) start = other.start + other.size;
    if (start + size <= range.start + range.size) return start;
  }
  const all = ranges.map((range) => `${range.start}:${range.size}`).join(', ');
  throw new GantryError('IN_USE', `Cannot choose ${size} ids for the user namespace: none are free in ${all}`, {
    hint: 'Remove containers, or give the user "containers" more in /etc/subuid and /etc/subgid',
  });
}
