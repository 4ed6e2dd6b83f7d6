// Parameters of POST /build → what the build is asked for. What is not carried out is refused by its name.
import type { BuildRequest } from '../../build/build-request.ts';
import { GantryError } from '../../errors.ts';
import type { Resources, Ulimit } from '../../types.ts';
import { type Call, flag } from '../http.ts';
import { platformOf } from './platform-query.ts';

export type QueriedBuild = Omit<BuildRequest, 'context' | 'dockerfileText' | 'secrets' | 'credentials'>;

/** @throws {GantryError} INVALID_ARGUMENT, UNSUPPORTED. */
export function readBuildQuery(call: Call): QueriedBuild {
  const { query } = call;
  refuseOthers(call);
  const platform = query.get('platform');
  const shmSize = number(query, 'shmsize');
  return {
    dockerfile: query.get('dockerfile') ?? '',
    tags: query.getAll('t').filter(Boolean),
    target: query.get('target') ?? '',
    buildArgs: texts(query, 'buildargs'),
    labels: texts(query, 'labels'),
    noCache: flag(call, 'nocache'),
    cacheFrom: cacheFrom(query),
    pull: flag(call, 'pull'),
    ...(platform ? { platform: platformOf(platform) } : {}),
    network: query.get('networkmode') ?? '',
    extraHosts: query.getAll('extrahosts').flatMap(hostsOf),
    ...(shmSize ? { shmSize } : {}),
    ulimits: ulimits(query.get('ulimits')),
    resources: resources(query),
    cgroupParent: query.get('cgroupparent') ?? '',
  };
}

function refuseOthers(call: Call): void {
  const { query } = call;
  const refuse = (message: string, hint?: string): GantryError =>
    new GantryError('UNSUPPORTED', message, hint === undefined ? {} : { hint });
  const version = query.get('version') ?? '';
  if (version === '2')
    throw refuse(
      'Cannot build with BuildKit: its sessions are not spoken; build with DOCKER_BUILDKIT=0 in the environment, or with "gantry build"',
    );
  if (!['', '1'].includes(version)) throw new GantryError('INVALID_ARGUMENT', `Invalid version ${version}`);
  if (flag(call, 'squash'))
    throw refuse('Cannot squash the layers of an image: build it from a stage with COPY --from');
  if (!['', '[]', 'null'].includes(query.get('outputs') ?? ''))
    throw refuse('Cannot export a build elsewhere: "gantry save" writes the image');
  if ((query.get('session') ?? '') !== '' || query.get('remote') === 'client-session')
    throw refuse('Cannot build from a session: send the context, or build with "gantry build"');
  if (!['', 'default', 'process'].includes(query.get('isolation') ?? ''))
    throw refuse(`Cannot isolate by "${query.get('isolation')}": not supported yet`);
  if (!['', '[]', 'null'].includes(query.get('securityopt') ?? ''))
    throw refuse('Cannot build with other security options: a RUN has those of every container');
}

/** As docker's clients send them: one by one, or as a JSON list. */
function hostsOf(text: string): string[] {
  if (!text.startsWith('[')) return [text];
  const list = json(text, 'extrahosts');
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  throw wrong('extrahosts', 'a list of texts');
}

function wrong(name: string, wanted: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Cannot read the parameter "${name}": it must be ${wanted}`);
}

function json(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw wrong(name, 'JSON');
  }
}

function cacheFrom(query: URLSearchParams): string[] {
  const text = query.get('cachefrom');
  if (!text) return [];
  const list = json(text, 'cachefrom') ?? [];
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
    throw wrong('cachefrom', 'a list of texts');
  return list as string[];
}

/** Names without a value are left out: clients ask so for what is not set. */
function texts(query: URLSearchParams, name: string): Record<string, string> {
  const text = query.get(name);
  if (!text) return {};
  const found = json(text, name) ?? {};
  if (typeof found !== 'object' || Array.isArray(found)) throw wrong(name, 'an object');
  const entries = Object.entries(found as object).filter(([, value]) => value !== null);
  if (!entries.every(([, value]) => typeof value === 'string')) throw wrong(name, 'texts by name');
  return Object.fromEntries(entries) as Record<string, string>;
}

function number(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (!text) return undefined;
  if (!/^-?\d+$/.test(text)) throw wrong(name, 'a number');
  return Number(text);
}

function ulimits(text: string | null): Ulimit[] {
  if (!text) return [];
  const list = json(text, 'ulimits') ?? [];
  if (!Array.isArray(list)) throw wrong('ulimits', 'a list');
  return list.map((one: Record<string, unknown>) => {
    if (typeof one.Name !== 'string' || typeof one.Soft !== 'number' || typeof one.Hard !== 'number')
      throw wrong('ulimits', 'a list of Name, Soft and Hard');
    return { name: one.Name, soft: one.Soft, hard: one.Hard };
  });
}

function resources(query: URLSearchParams): Resources {
  const [memory, memorySwap] = [number(query, 'memory'), number(query, 'memswap')];
  const [cpuShares, cpuPeriod, cpuQuota] = ['cpushares', 'cpuperiod', 'cpuquota'].map((name) => number(query, name));
  const [cpusetCpus, cpusetMems] = [query.get('cpusetcpus'), query.get('cpusetmems')];
  return {
    ...(memory ? { memory } : {}),
    ...(memorySwap ? { memorySwap } : {}),
    ...(cpuShares ? { cpuShares } : {}),
    ...(cpuPeriod ? { cpuPeriod } : {}),
    ...(cpuQuota ? { cpuQuota } : {}),
    ...(cpusetCpus ? { cpusetCpus } : {}),
    ...(cpusetMems ? { cpusetMems } : {}),
  };
}
