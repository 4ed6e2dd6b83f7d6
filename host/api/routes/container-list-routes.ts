// /containers/json and /containers/prune: which containers, by docker's filters.
import type { Container } from '../../engine/container.ts';
import { diskUsage } from '../../engine/disk-usage.ts';
import type { Engine } from '../../engine/engine.ts';
import type { ContainerRecord } from '../../engine/record.ts';
import { GantryError } from '../../errors.ts';
import {
  anyOf,
  checkValues,
  type Filters,
  matchesLabels,
  matchesPattern,
  matchesPruneLabels,
  readFilters,
  truthOf,
  untilOf,
} from '../fields/filters.ts';
import { flag, type Handler, type Route, sendJson } from '../http.ts';
import { portList } from '../json/container-network-json.ts';
import { type ContainerSize, summaryJson } from '../json/summary-json.ts';

const FILTERS =
  'ancestor before exited expose health id is-task isolation label name network publish since status volume'.split(' ');
const STATES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
const HEALTHS = ['none', 'starting', 'healthy', 'unhealthy'];

export function containerListRoutes(engine: Engine): Route[] {
  const list: Handler = async (call) => {
    const filters = readFilters(call.query.get('filters'), FILTERS);
    const limit = readLimit(call.query.get('limit'));
    const matches = await matcher(engine, filters);
    const all = flag(call, 'all') || filters.status !== undefined || limit > 0;
    const found = between(engine, filters).filter(
      (container) => (all || isLive(container)) && matches(container.record),
    );
    const shown = limit > 0 ? found.slice(0, limit) : found;
    const nameOf = imageNames(engine);
    const sized = flag(call, 'size');
    sendJson(
      call,
      await Promise.all(
        shown.map(async (container) =>
          summaryJson(
            container.record,
            await nameOf(container.record),
            sized ? await containerSize(engine, container) : undefined,
          ),
        ),
      ),
    );
  };

  const prune: Handler = async (call) => {
    const filters = readFilters(call.query.get('filters'), ['label', 'label!', 'until']);
    const until = untilOf(filters);
    let SpaceReclaimed = 0;
    const ContainersDeleted: string[] = [];
    for (const container of engine.list()) {
      const { record, files } = container;
      if (isLive(container) || !matchesPruneLabels(record.config.labels, filters)) continue;
      if (until !== undefined && Date.parse(record.created) > until) continue;
      const bytes = await diskUsage(files.upper);
      try {
        await engine.remove(container, { force: false, volumes: false });
      } catch {
        continue; // It has started, or went, meanwhile.
      }
      ContainersDeleted.push(record.id);
      SpaceReclaimed += bytes;
    }
    engine.events.emit('container', 'prune', '', { reclaimed: String(SpaceReclaimed) });
    sendJson(call, { ContainersDeleted: ContainersDeleted.length > 0 ? ContainersDeleted : null, SpaceReclaimed });
  };

  return [
    { method: 'GET', path: '/containers/json', handler: list },
    { method: 'POST', path: '/containers/prune', handler: prune },
  ];
}

/** What the container's own layer holds, and that with its image. */
export async function containerSize(engine: Engine, { record, files }: Container): Promise<ContainerSize> {
  const [own, image] = await Promise.all([
    diskUsage(files.upper),
    engine.images.find(record.config.imageId).catch(() => undefined),
  ]);
  return { own, whole: own + (image?.size ?? 0) };
}

function isLive({ record }: Container): boolean {
  return ['running', 'paused', 'restarting'].includes(record.state.status);
}

function readLimit(text: string | null): number {
  if (text === null || text === '') return 0;
  if (!/^-?\d+$/.test(text)) throw new GantryError('INVALID_ARGUMENT', `Invalid limit "${text}": it must be a number`);
  return Math.max(0, Number(text));
}

/** Newest first: what was made before the one of "before", and after the one of "since". */
function between(engine: Engine, { before, since }: Filters): Container[] {
  const all = engine.list();
  const at = (name: string): number => all.indexOf(engine.find(name));
  const first = before === undefined ? 0 : Math.max(...before.map(at)) + 1;
  const last = since === undefined ? all.length : Math.min(...since.map(at));
  return all.slice(first, last);
}

/** An image's name in a list: the user's, unless it means another image by now. */
export function imageNames(engine: Engine): (record: ContainerRecord) => Promise<string> {
  const known = new Map<string, Promise<string | undefined>>();
  return async ({ config: { image, imageId } }) => {
    let id = known.get(image);
    if (id === undefined) {
      id = engine.images.find(image).then(
        (found) => found.id,
        () => undefined,
      );
      known.set(image, id);
    }
    return (await id) === imageId ? image : imageId;
  };
}

/** "80", "80/udp" or "8000-8010/tcp" → every port. */
function portsOf(name: string, values: string[] = []): Set<string> {
  const found = new Set<string>();
  for (const value of values) {
    const [, first, last = first, protocol = 'tcp'] =
      /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(value) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (first === undefined || from > to || to > 65535)
      throw new GantryError(
        'INVALID_ARGUMENT',
        value.includes(':')
          ? `Filter for '${name}' should not contain ':': ${value}`
          : `Error while looking up for ${name} ${value}: invalid port`,
      );
    for (let port = from; port <= to; port++) found.add(`${port}/${protocol.toLowerCase()}`);
  }
  return found;
}

async function ancestors(engine: Engine, names: string[] | undefined): Promise<Set<string> | undefined> {
  if (names === undefined) return undefined;
  const found = await Promise.all(names.map((name) => engine.images.find(name).catch(() => undefined)));
  return new Set(found.flatMap((image) => image?.id ?? []));
}

/** @throws {GantryError} INVALID_ARGUMENT on values that no container can have. */
async function matcher(engine: Engine, filters: Filters): Promise<(record: ContainerRecord) => boolean> {
  checkValues(filters, 'status', 'state', STATES);
  checkValues(filters, 'health', 'health', HEALTHS);
  for (const code of filters.exited ?? [])
    if (!/^-?\d+$/.test(code))
      throw new GantryError('INVALID_ARGUMENT', `Invalid filter 'exited=${code}': it must be a number`);
  const isTask = truthOf(filters, 'is-task');
  const [published, exposed] = [portsOf('publish', filters.publish), portsOf('expose', filters.expose)];
  const images = await ancestors(engine, filters.ancestor);
  const hasPort = (record: ContainerRecord): boolean =>
    (published.size === 0 && exposed.size === 0) ||
    portList(record).some(
      ({ PublicPort, PrivatePort, Type }) =>
        published.has(`${PublicPort}/${Type}`) || exposed.has(`${PrivatePort}/${Type}`),
    );
  return (record) => {
    const { config, state, endpoints } = record;
    return (
      matchesPattern(filters.name, record.name, `/${record.name}`) &&
      matchesPattern(filters.id, record.id) &&
      matchesLabels(config.labels, filters.label) &&
      anyOf(filters.status, (status) => status === state.status) &&
      anyOf(
        filters.exited,
        (code) =>
          state.exitCode === Number(code) && state.startedAt !== '' && ['exited', 'dead'].includes(state.status),
      ) &&
      anyOf(filters.health, (health) => health === (state.health?.status ?? 'none')) &&
      anyOf(filters.isolation, (isolation) => isolation === (config.host.isolation ?? 'default')) &&
      isTask !== true &&
      (images === undefined || images.has(config.imageId)) &&
      anyOf(filters.volume, (volume) =>
        record.mounts.some(({ name, target, source }) => volume === target || volume === (name || source)),
      ) &&
      anyOf(
        filters.network,
        (network) =>
          network === config.host.networkMode ||
          network in (config.host.networks ?? {}) ||
          network in endpoints ||
          Object.values(endpoints).some(({ networkId }) => networkId.startsWith(network)),
      ) &&
      hasPort(record)
    );
  };
}
