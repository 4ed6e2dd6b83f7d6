// The table of commands: name → the module that is loaded only when it is asked for.
import { GantryError } from '../errors.ts';
import type { Command } from './command.ts';
import { distance } from './nearest.ts';

type Load = () => Promise<Command>;

const containers =
  (name: string): Load =>
  async () =>
    (await import('./containers.ts')).commands[name]!;
const images =
  (name: string): Load =>
  async () =>
    (await import('./images.ts')).commands[name]!;
const volumes =
  (name: string): Load =>
  async () =>
    (await import('./volumes.ts')).commands[name]!;

const table: Record<string, Load> = {
  run: async () => (await import('./run.ts')).run,
  create: async () => (await import('./run.ts')).create,
  exec: async () => (await import('./exec.ts')).exec,
  plan: async () => (await import('./plan.ts')).plan,
  ps: async () => (await import('./ps.ts')).ps,
  attach: async () => (await import('./attach.ts')).attach,
  start: async () => (await import('./attach.ts')).start,
  stop: containers('stop'),
  restart: containers('restart'),
  kill: containers('kill'),
  pause: containers('pause'),
  unpause: containers('unpause'),
  rm: containers('rm'),
  cp: async () => (await import('./cp.ts')).cp,
  rename: containers('rename'),
  wait: containers('wait'),
  port: containers('port'),
  top: containers('top'),
  logs: async () => (await import('./logs.ts')).logs,
  inspect: async () => (await import('./inspect.ts')).inspect,
  stats: async () => (await import('./stats.ts')).stats,
  events: async () => (await import('./system.ts')).events,
  images: images('images'),
  pull: images('pull'),
  load: images('load'),
  save: images('save'),
  tag: images('tag'),
  rmi: images('rmi'),
  'volume ls': volumes('ls'),
  'volume create': volumes('create'),
  'volume inspect': volumes('inspect'),
  'volume rm': volumes('rm'),
  'volume prune': volumes('prune'),
  info: async () => (await import('./system.ts')).info,
  version: async () => (await import('./system.ts')).version,
  doctor: async () => (await import('./doctor.ts')).doctor,
  serve: async () => (await import('./serve.ts')).serve,
  completion: async () => (await import('./completion.ts')).completion,
};

/** Docker's longer names for the same. */
const aliases: Record<string, string> = {
  'container ls': 'ps',
  'container ps': 'ps',
  'image ls': 'images',
  'image rm': 'rmi',
  'system info': 'info',
  'system events': 'events',
  'volume list': 'volume ls',
  'volume remove': 'volume rm',
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

/** @throws {GantryError} INVALID_ARGUMENT for a word that is no command, with the nearest one as a hint. */
export async function findCommand(words: string[]): Promise<Found> {
  const [first = '', second = ''] = words;
  const two = `${first} ${second}`;
  for (const [name, length] of [
    [aliases[two] ?? two, 2],
    [first === 'container' || first === 'image' ? second : '', 2],
    [first, 1],
  ] as const)
    if (name in table) return { name, command: await table[name]!(), args: words.slice(length) };
  const group = commandNames().filter((name) => name.startsWith(`${first} `));
  const near = group.length > 0 ? group : commandNames().filter((name) => distance(name, first) <= 2);
  throw new GantryError('INVALID_ARGUMENT', `Unknown command "${first}"`, {
    hint:
      near.length > 0 ? `Did you mean ${near.map((name) => `"gantry ${name}"`).join(' or ')}` : 'See "gantry --help"',
  });
}
