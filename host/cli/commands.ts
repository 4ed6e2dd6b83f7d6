// The table of commands: name → the module that is loaded only when it is asked for.
import { GantryError } from '../errors.ts';
import type { Command } from './command.ts';
import { editDistance } from '../edit-distance.ts';

type Load = () => Promise<Command>;

const containers =
  (name: string): Load =>
  async () =>
    (await import('./containers/containers.ts')).commands[name]!;
const images =
  (name: string): Load =>
  async () =>
    (await import('./images/images.ts')).commands[name]!;
const snapshots =
  (name: string): Load =>
  async () =>
    (await import('./containers/snapshots.ts')).commands[name]!;
const registry =
  (name: string): Load =>
  async () =>
    (await import('./images/registry.ts')).commands[name]!;
const volumes =
  (name: string): Load =>
  async () =>
    (await import('./system/volumes.ts')).commands[name]!;
const networks =
  (name: string): Load =>
  async () =>
    (await import('./system/networks.ts')).commands[name]!;
const contexts =
  (name: string): Load =>
  async () =>
    (await import('./system/contexts.ts')).commands[name]!;
const kube =
  (name: string): Load =>
  async () =>
    (await import('./kube/kube.ts')).commands[name]!;
const machine =
  (name: string): Load =>
  async () =>
    (await import('./system/machine.ts')).commands[name]!;
const prune =
  (name: string): Load =>
  async () =>
    (await import('./system/prune.ts')).commands[name]!;

const table: Record<string, Load> = {
  run: async () => (await import('./run/run.ts')).run,
  create: async () => (await import('./run/run.ts')).create,
  exec: async () => (await import('./run/exec.ts')).exec,
  plan: async () => (await import('./run/plan.ts')).plan,
  matrix: async () => (await import('./matrix/matrix.ts')).matrix,
  ps: async () => (await import('./containers/ps.ts')).ps,
  attach: async () => (await import('./run/attach.ts')).attach,
  start: async () => (await import('./run/attach.ts')).start,
  stop: containers('stop'),
  restart: containers('restart'),
  kill: containers('kill'),
  pause: containers('pause'),
  unpause: containers('unpause'),
  rm: containers('rm'),
  cp: async () => (await import('./containers/cp.ts')).cp,
  rename: containers('rename'),
  update: async () => (await import('./run/update.ts')).update,
  wait: containers('wait'),
  port: containers('port'),
  top: containers('top'),
  logs: async () => (await import('./containers/logs.ts')).logs,
  inspect: async () => (await import('./containers/inspect.ts')).inspect,
  'container inspect': async () => (await import('./containers/inspect.ts')).inspectContainer,
  'image inspect': async () => (await import('./containers/inspect.ts')).inspectImage,
  stats: async () => (await import('./containers/stats.ts')).stats,
  events: async () => (await import('./system/events.ts')).events,
  'container prune': prune('container'),
  build: async () => (await import('./build/build.ts')).build,
  'builder prune': prune('builder'),
  images: images('images'),
  pull: images('pull'),
  load: images('load'),
  save: images('save'),
  tag: images('tag'),
  rmi: images('rmi'),
  diff: snapshots('diff'),
  export: snapshots('export'),
  commit: snapshots('commit'),
  import: snapshots('import'),
  history: async () => (await import('./images/history.ts')).history,
  push: registry('push'),
  login: registry('login'),
  logout: registry('logout'),
  search: async () => (await import('./images/search.ts')).search,
  'image prune': prune('image'),
  'image referrers': async () => (await import('./images/referrers.ts')).referrers,
  'image verify': async () => (await import('./images/verify.ts')).verify,
  'volume ls': volumes('ls'),
  'volume create': volumes('create'),
  'volume inspect': volumes('inspect'),
  'volume rm': volumes('rm'),
  'volume prune': prune('volume'),
  'network ls': networks('ls'),
  'network create': networks('create'),
  'network inspect': networks('inspect'),
  'network connect': networks('connect'),
  'network disconnect': networks('disconnect'),
  'network rm': networks('rm'),
  'network prune': prune('network'),
  'context ls': contexts('ls'),
  'context use': contexts('use'),
  'context create': contexts('create'),
  'context inspect': contexts('inspect'),
  'context rm': contexts('rm'),
  'context show': contexts('show'),
  'kube play': kube('play'),
  'kube down': kube('down'),
  'machine info': machine('info'),
  'machine start': machine('start'),
  'machine stop': machine('stop'),
  'machine reset': machine('reset'),
  'system dial-stdio': async () => (await import('./system/dial-stdio.ts')).dialStdio,
  info: async () => (await import('./system/system.ts')).info,
  version: async () => (await import('./system/system.ts')).version,
  'system prune': prune('system'),
  'system df': async () => (await import('./system/disk-usage.ts')).systemDf,
  doctor: async () => (await import('./system/doctor.ts')).doctor,
  serve: async () => (await import('./system/serve.ts')).serve,
  completion: async () => (await import('./completion.ts')).completion,
};

const same = (names: string): Record<string, string> =>
  Object.fromEntries(names.split(' ').map((name) => [name, name]));

/** Docker's longer names: group → second word → name in the table. */
const groups: Record<string, Record<string, string>> = {
  container: {
    ...same(
      'run create exec attach start stop restart kill pause unpause rm cp rename update wait port top logs stats diff export commit',
    ),
    inspect: 'container inspect',
    ls: 'ps',
    list: 'ps',
    ps: 'ps',
    remove: 'rm',
    prune: 'container prune',
  },
  image: {
    ...same('build pull push load save tag history import'),
    inspect: 'image inspect',
    ls: 'images',
    list: 'images',
    rm: 'rmi',
    remove: 'rmi',
    prune: 'image prune',
    referrers: 'image referrers',
    verify: 'image verify',
  },
  builder: { build: 'build', prune: 'builder prune' },
  volume: {
    ...Object.fromEntries(['ls', 'create', 'inspect', 'rm', 'prune'].map((name) => [name, `volume ${name}`])),
    list: 'volume ls',
    remove: 'volume rm',
  },
  network: {
    ...Object.fromEntries(
      ['ls', 'create', 'inspect', 'connect', 'disconnect', 'rm', 'prune'].map((name) => [name, `network ${name}`]),
    ),
    list: 'network ls',
    remove: 'network rm',
  },
  context: {
    ...Object.fromEntries(['ls', 'use', 'create', 'inspect', 'rm', 'show'].map((name) => [name, `context ${name}`])),
    list: 'context ls',
    remove: 'context rm',
  },
  kube: { play: 'kube play', down: 'kube down' },
  machine: {
    ...Object.fromEntries(['info', 'start', 'stop', 'reset'].map((name) => [name, `machine ${name}`])),
    inspect: 'machine info',
  },
  system: { ...same('info events'), df: 'system df', prune: 'system prune', 'dial-stdio': 'system dial-stdio' },
};

/** What docker has and gantry has not: what to do instead. */
const absent: Record<string, string> = {
  ...Object.fromEntries(
    ['ssh', 'shell'].map((name) => [
      `machine ${name}`,
      'The guest has no shell of its own; look around with "gantry run -it --rm --privileged --pid host --network host IMAGE"',
    ]),
  ),
  buildx: 'Build with "gantry build", or docker build with DOCKER_BUILDKIT=0 and DOCKER_HOST',
  ...Object.fromEntries(['compose', 'swarm'].map((name) => [name, ''])),
};

export function commandNames(): string[] {
  return Object.keys(table);
}

export function loadCommand(name: string): Promise<Command> {
  return table[name]!();
}

export interface Found {
  name: string;
  command: Command;
  /** What stands behind the command's name. */
  args: string[];
}

/** The commands of a group such as "volume", by their second words; undefined where it is none. */
export function groupMembers(name: string): Record<string, string> | undefined {
  return Object.hasOwn(groups, name) ? groups[name] : undefined;
}

/** @throws {GantryError} INVALID_ARGUMENT for words that are no command, with the nearest one as a hint. */
export async function findCommand(words: string[]): Promise<Found> {
  const [first = '', second = ''] = words;
  const group = groupMembers(first);
  const member = group !== undefined && Object.hasOwn(group, second) ? group[second] : undefined;
  const name = member ?? (Object.hasOwn(table, first) ? first : undefined);
  if (name !== undefined)
    return { name, command: await table[name]!(), args: words.slice(member === undefined ? 1 : 2) };
  if (Object.hasOwn(absent, first))
    throw new GantryError('INVALID_ARGUMENT', `There is no "gantry ${first}"`, {
      hint: absent[first] || 'See "gantry --help" for what there is',
    });
  if (Object.hasOwn(absent, `${first} ${second}`))
    throw new GantryError('INVALID_ARGUMENT', `There is no "gantry ${first} ${second}"`, {
      hint: absent[`${first} ${second}`],
    });
  if (group === undefined)
    throw unknown(
      first,
      commandNames().filter((known) => !known.includes(' ')),
      first,
    );
  const full = Object.keys(group).map((known) => `${first} ${known}`);
  throw unknown(`${first} ${second}`.trimEnd(), full, first);
}

function unknown(given: string, known: string[], first: string): GantryError {
  const far = known.map((name) => editDistance(name, given));
  const least = Math.min(...far);
  const near = known.filter((_name, index) => least <= 2 && far[index] === least);
  const help = given === first ? 'gantry --help' : `gantry ${first} --help`;
  return new GantryError('INVALID_ARGUMENT', `Unknown command "${given}"`, {
    hint: near.length > 0 ? `Did you mean ${near.map((name) => `"gantry ${name}"`).join(' or ')}` : `See "${help}"`,
  });
}
