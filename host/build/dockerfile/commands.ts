// What runs: RUN with its heredocs, and the exec and shell forms of CMD, ENTRYPOINT, SHELL and HEALTHCHECK.
import type { Healthcheck } from '../../types.ts';
import type { CommandForm, RunInstruction } from './ast.ts';
import { Refusal } from './failure.ts';
import { type InstructionFlags, readFlags } from './flags.ts';
import { parseHeredoc, type RawHeredoc } from './lines.ts';
import { parseMount } from './mounts.ts';
import { jsonList } from './split.ts';

/** A list in JSON, else a text for the shell. @throws {Refusal} */
export function commandForm(rest: string): CommandForm {
  const words = jsonList(rest);
  return words === undefined ? { form: 'shell', text: rest } : { form: 'exec', words };
}

const runFlags = { mount: 'list', network: 'text' } as const;
const refusedRunFlags = {
  security: 'RUN never gets more than a container does',
  device: 'no device is given to RUN',
};

export function readRun(
  flags: string[],
  rest: string,
  heredocs: RawHeredoc[],
): Pick<RunInstruction, 'command' | 'mounts' | 'network'> {
  const given = readFlags(flags, runFlags, refusedRunFlags);
  const network = given.text('network') ?? 'default';
  if (network !== 'default' && network !== 'none' && network !== 'host')
    throw new Refusal(`invalid network mode ${JSON.stringify(network)}`, 'It is "default", "none" or "host"');
  if (rest === '') throw new Refusal('RUN requires at least one argument');
  return {
    command: runCommand(rest, heredocs),
    mounts: given.list('mount').map((text) => parseMount(text, undefined)),
    network,
  };
}

function runCommand(rest: string, heredocs: RawHeredoc[]): RunInstruction['command'] {
  const [first] = heredocs;
  if (first === undefined) return commandForm(rest);
  if (parseHeredoc(rest) === undefined) {
    const documents = heredocs.map(({ content, name }) => `\n${content}${name}`);
    return { form: 'shell', text: rest + documents.join('') };
  }
  const content = chomped(first);
  return content.startsWith('#!') ? { form: 'script', name: first.name, content } : { form: 'shell', text: content };
}

/** Without the tabs that "<<-" takes away. */
export function chomped({ content, chomp }: Pick<RawHeredoc, 'content' | 'chomp'>): string {
  return chomp ? content.replace(/^\t+/gm, '') : content;
}

const checkFlags = {
  interval: 'text',
  timeout: 'text',
  'start-period': 'text',
  'start-interval': 'text',
  retries: 'text',
} as const;

export function readHealthcheck(flags: string[], rest: string): Healthcheck {
  const [, type = '', command = ''] = /^(\S*)\s*(.*)$/s.exec(rest) ?? [];
  if (type === '') throw new Refusal('HEALTHCHECK requires at least one argument');
  const none = { interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
  if (type.toUpperCase() === 'NONE') {
    if (command !== '') throw new Refusal('HEALTHCHECK NONE takes no arguments');
    readFlags(flags, {});
    return { test: ['NONE'], ...none };
  }
  const given = readFlags(flags, checkFlags);
  if (type.toUpperCase() !== 'CMD')
    throw new Refusal(`Unknown type ${JSON.stringify(type.toUpperCase())} in HEALTHCHECK (try CMD)`);
  const form = commandForm(command);
  if (form.form === 'exec' ? form.words.length === 0 : form.text === '')
    throw new Refusal('Missing command after HEALTHCHECK CMD');
  return {
    test: form.form === 'exec' ? ['CMD', ...form.words] : ['CMD-SHELL', form.text],
    interval: duration(given, 'interval'),
    timeout: duration(given, 'timeout'),
    startPeriod: duration(given, 'start-period'),
    startInterval: duration(given, 'start-interval'),
    retries: retries(given.text('retries')),
  };
}

function retries(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (!/^[-+]?\d+$/.test(text) || Math.abs(Number(text)) > 0x7fffffff)
    throw new Refusal(`--retries must be a whole number, not ${JSON.stringify(text)}`);
  if (Number(text) < 0) throw new Refusal(`--retries cannot be negative (${text})`);
  return Number(text);
}

const NANOSECONDS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** "1m30s" → nanoseconds, as Go reads it. */
function duration(given: InstructionFlags, name: keyof typeof checkFlags): number {
  const text = given.text(name) ?? '';
  if (text === '' || /^[-+]?0$/.test(text)) return 0;
  const [, sign, numbers = ''] = /^([-+]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+)$/.exec(text) ?? [];
  if (numbers === '') throw new Refusal(`time: invalid duration ${JSON.stringify(text)}`);
  const parts = [...numbers.matchAll(/([\d.]+)([a-zµ]+)/g)];
  const sum = parts.reduce((total, [, count, unit]) => total + Number(count) * NANOSECONDS[unit!]!, 0);
  if (sum === 0) return 0;
  if (sign === '-' || sum < 1e6) throw new Refusal(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
  return Math.round(sum);
}
