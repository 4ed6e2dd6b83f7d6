// Dockerfile instructions that change an image's configuration, as `commit -c` and `import -c` take them.
import { GantryError } from '../errors.ts';
import type { Healthcheck, ImageConfig } from '../types.ts';

type Apply = (config: ImageConfig, rest: string, words: () => string[]) => void;

function wrong(line: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Cannot apply the change "${line}": ${reason}`, {
    hint: `Known are ${Object.keys(known).join(', ').toUpperCase()}, written as in a Dockerfile`,
  });
}

/** Words with quotes and backslashes as a Dockerfile has them. */
function split(text: string): string[] {
  return [...text.matchAll(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/gs)].map(([word]) =>
    word.replace(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/gs, (_all, double?: string, single?: string, escaped?: string) =>
      double !== undefined ? double.replace(/\\(["\\$])/g, '$1') : (single ?? escaped ?? ''),
    ),
  );
}

/** $NAME, ${NAME}, ${NAME:-default}, ${NAME:+other} from the configuration's environment; \$ stays. */
function expand(text: string, env: string[]): string {
  const value = (name: string): string | undefined =>
    env.findLast((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
  return text.replace(
    /'[^']*'|\\.|\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})/gs,
    (all, plain?: string, braced?: string, operator?: string, word = '') => {
      const name = plain ?? braced;
      if (name === undefined) return all;
      const found = value(name);
      if (operator === '+') return found ? word : '';
      return found || (operator === '-' ? word : (found ?? ''));
    },
  );
}

/** ["a", "b"], or the shell form. */
function commandOf(rest: string, config: ImageConfig): string[] {
  if (rest.startsWith('['))
    try {
      const list = JSON.parse(rest) as unknown;
      if (Array.isArray(list) && list.every((word) => typeof word === 'string')) return list;
    } catch {
      // The shell form, as docker takes it.
    }
  return rest === '' ? [] : [...(config.shell ?? ['/bin/sh', '-c']), rest];
}

/** NAME=value …, or the older "NAME value". */
function pairs(rest: string, words: () => string[]): [string, string][] {
  const list = words();
  if (list.every((word) => word.indexOf('=') > 0))
    return list.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]);
  const [, name = '', value] = /^(\S+)\s+(.*)$/s.exec(rest) ?? [];
  if (value === undefined || name.includes('=')) throw new Error('it must be NAME=value');
  return [[name, value]];
}

const units: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

function nanoseconds(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([all]) => all).join('') !== text) throw new Error(`"${text}" is no duration`);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0);
}

function healthcheck(rest: string, config: ImageConfig): Healthcheck {
  const check: Healthcheck = { test: [], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
  const fields: Record<string, (value: string) => void> = {
    interval: (value) => (check.interval = nanoseconds(value)),
    timeout: (value) => (check.timeout = nanoseconds(value)),
    'start-period': (value) => (check.startPeriod = nanoseconds(value)),
    'start-interval': (value) => (check.startInterval = nanoseconds(value)),
    retries: (value) => (check.retries = Number(value)),
  };
  let left = rest;
  for (let found = /^--([\w-]+)=(\S+)\s+/.exec(left); found !== null; found = /^--([\w-]+)=(\S+)\s+/.exec(left)) {
    const field = fields[found[1]!];
    if (field === undefined) throw new Error(`--${found[1]} is unknown`);
    field(found[2]!);
    left = left.slice(found[0].length);
  }
  if (/^none$/i.test(left)) return { ...check, test: ['NONE'] };
  const [, command] = /^cmd\s+(.+)$/is.exec(left) ?? [];
  if (command === undefined) throw new Error('it must be NONE or CMD and a command');
  const exec = command.startsWith('[');
  return { ...check, test: exec ? ['CMD', ...commandOf(command, config)] : ['CMD-SHELL', command] };
}

function add(list: string[], more: string[]): string[] {
  return [...new Set([...list, ...more])];
}

const known: Record<string, Apply> = {
  cmd: (config, rest) => (config.command = commandOf(rest, config)),
  entrypoint: (config, rest) => (config.entrypoint = commandOf(rest, config)),
  env(config, rest, words) {
    for (const [name, value] of pairs(rest, words))
      config.env = [...config.env.filter((entry) => !entry.startsWith(`${name}=`)), `${name}=${value}`];
  },
  expose(config, _rest, words) {
    const ports = words().map((word) => (word.includes('/') ? word.toLowerCase() : `${word}/tcp`));
    if (ports.length === 0 || !ports.every((port) => /^\d+(-\d+)?\/(tcp|udp|sctp)$/.test(port)))
      throw new Error('it must be PORT[/tcp|udp|sctp]');
    config.exposedPorts = add(config.exposedPorts, ports);
  },
  healthcheck: (config, rest) => (config.healthcheck = healthcheck(rest, config)),
  label(config, rest, words) {
    config.labels = { ...config.labels, ...Object.fromEntries(pairs(rest, words)) };
  },
  onbuild(config, rest) {
    if (/^(onbuild|from|maintainer)\b/i.test(rest)) throw new Error(`ONBUILD ${rest.split(/\s/)[0]} is not allowed`);
    config.onBuild = [...(config.onBuild ?? []), rest];
  },
  stopsignal: (config, rest) => (config.stopSignal = rest),
  user: (config, rest) => (config.user = rest),
  volume(config, rest, words) {
    const list = rest.startsWith('[') ? commandOf(rest, config) : words();
    config.volumes = add(config.volumes, list);
  },
  workdir(config, rest) {
    config.workingDir = rest.startsWith('/') ? rest : `${config.workingDir || ''}/${rest}`.replace(/\/+/g, '/');
  },
};

const EXPANDED = ['env', 'expose', 'label', 'stopsignal', 'user', 'volume', 'workdir'];

/** A copy with every change applied. @throws {GantryError} INVALID_ARGUMENT. */
export function applyInstructions(config: ImageConfig, lines: string[]): ImageConfig {
  const changed = structuredClone(config);
  for (const line of lines.flatMap((text) => text.split(/(?<!\\)\n/)).map((text) => text.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', text = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
    const apply = Object.hasOwn(known, name.toLowerCase()) ? known[name.toLowerCase()] : undefined;
    if (apply === undefined) throw wrong(line, `${name} is not a valid change command`);
    const rest = EXPANDED.includes(name.toLowerCase()) ? expand(text, changed.env) : text;
    if (rest === '' && !/^(cmd|entrypoint)$/i.test(name)) throw wrong(line, 'it requires an argument');
    try {
      apply(changed, rest, () => split(rest));
    } catch (cause) {
      throw wrong(line, (cause as Error).message);
    }
  }
  return changed;
}
