// One question of the front → its answer: plans, and what is told of containers.
import * as abi from '../../core-asm/abi.ts';
import {
  type BundleRequest,
  type OciSpec,
  planBundle,
  planBundleExec,
  planBundleUpdate,
} from '../core/bundle-plans.ts';
import { GantryError } from '../errors.ts';
import { planFailure, planWarning } from '../linux/plan-failure.ts';
import type { HostFacts } from '../plan-types.ts';
import { features } from './features.ts';
import { type Part, parsed, type Question } from './messages.ts';
import { execProcess } from './process-words.ts';
import { resourcesOf } from './resource-words.ts';
import { listTable, processTable } from './tables.ts';
import { exampleSpec } from './example-spec.ts';
import { usageEvent } from './usage.ts';

export interface Planning {
  facts: () => Promise<HostFacts>;
  emptyDirectory: string;
}

type Answer = (question: Question, planning: Planning) => Promise<Part[]> | Part[];

const answers: Record<string, Answer> = {
  create,
  exec,
  update,
  explain,
  warn: ({ words, about }) => [[abi.RUNTIME_WARNING, planWarning(about, failureOf(words))]],
  features: () => [[abi.RUNTIME_OUTPUT, `${JSON.stringify(features(), null, 2)}\n`]],
  spec: ({ words }) => [[abi.RUNTIME_CONFIG, `${JSON.stringify(exampleSpec(words.has('rootless')), null, '\t')}\n`]],
  list: ({ about }) => [[abi.RUNTIME_OUTPUT, listTable(about)]],
  ps: async (question) => [[abi.RUNTIME_OUTPUT, await processTable(question)]],
  events: async ({ words, about }, { facts }) => [
    [abi.RUNTIME_OUTPUT, await usageEvent(await facts(), one(words, 'id'), specOf(about))],
  ],
};

/** Never throws: what goes wrong is a part of the answer. */
export async function answerTo(question: Question, planning: Planning): Promise<Part[]> {
  try {
    const command = one(question.words, 'command');
    const answer = answers[command];
    if (answer === undefined) throw new GantryError('INVALID_ARGUMENT', `Cannot answer "${command}": not a question`);
    return await answer(question, planning);
  } catch (error) {
    const known = error instanceof GantryError ? error : new GantryError('INTERNAL', `Cannot plan: ${String(error)}`);
    return failed(known);
  }
}

function failed(error: GantryError): Part[] {
  const hint: Part[] = error.hint === undefined ? [] : [[abi.RUNTIME_HINT, error.hint]];
  return [...hint, [abi.RUNTIME_ERROR, error.message]];
}

function one(words: Question['words'], key: string): string {
  return words.get(key)?.at(-1) ?? '';
}

const decoder = new TextDecoder();

function specOf(about: Uint8Array): OciSpec {
  const spec: unknown = parsed(decoder.decode(about), 'config.json');
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec))
    throw new GantryError('INVALID_ARGUMENT', 'Cannot read config.json: it is not an object');
  return spec as OciSpec;
}

async function requestOf({ words, about }: Question, { facts, emptyDirectory }: Planning): Promise<BundleRequest> {
  const id = one(words, 'id');
  return {
    facts: await facts(),
    id,
    spec: specOf(about),
    bundle: {
      id,
      directory: one(words, 'bundle'),
      noPivot: words.has('no-pivot'),
      noNewKeyring: words.has('no-new-keyring'),
    },
    paths: { emptyDirectory },
  };
}

async function create(question: Question, planning: Planning): Promise<Part[]> {
  const request = await requestOf(question, planning);
  addListenFds(question, request.spec.process);
  const plan = planBundle(request);
  const root = request.spec.root?.path ?? '';
  const tail = {
    rootfs: root.startsWith('/') ? root : `${request.bundle.directory}/${root}`,
    created: new Date().toISOString(),
    owner: '',
  };
  const parts: Part[] = [
    [abi.RUNTIME_STARTED, plan.started],
    [abi.RUNTIME_DELETE, plan.gone],
    [abi.RUNTIME_FREEZE, plan.freeze],
    [abi.RUNTIME_THAW, plan.thaw],
    [abi.RUNTIME_CGROUP, plan.cgroup],
    [abi.RUNTIME_HEAD, plan.head],
    [abi.RUNTIME_TAIL, `,${JSON.stringify(tail).slice(1, -1)}`],
    [abi.RUNTIME_SETUP, plan.setup],
  ];
  return [...parts, ...processParts(request.spec), ...warned(plan.warnings)];
}

/** sd_listen_fds(3): the caller's sockets are the container's. */
function addListenFds({ words }: Question, process: OciSpec['process']): void {
  const count = one(words, 'listen-fds');
  if (count !== '' && process !== undefined)
    process.env = [...(process.env ?? []), `LISTEN_FDS=${count}`, 'LISTEN_PID=1'];
}

function processParts(spec: OciSpec, process = spec.process): Part[] {
  const parts: Part[] = [];
  const { consoleSize, terminal } = process ?? {};
  if (terminal) parts.push([abi.RUNTIME_TERMINAL, '']);
  if (consoleSize) parts.push([abi.RUNTIME_CONSOLE, `${consoleSize.height} ${consoleSize.width}`]);
  const { listenerPath = '', listenerMetadata = '' } = spec.linux?.seccomp ?? {};
  if (listenerPath !== '') parts.push([abi.RUNTIME_LISTENER, listenerPath], [abi.RUNTIME_METADATA, listenerMetadata]);
  return parts;
}

function warned(warnings: string[]): Part[] {
  return warnings.map((warning): Part => [abi.RUNTIME_WARNING, warning]);
}

async function exec(question: Question, planning: Planning): Promise<Part[]> {
  const request = await requestOf(question, planning);
  const process = execProcess(question.words, request.spec);
  addListenFds(question, process);
  const { program, warnings } = planBundleExec(request, process);
  return [[abi.RUNTIME_SETUP, program], ...processParts(request.spec, process), ...warned(warnings)];
}

async function update(question: Question, planning: Planning): Promise<Part[]> {
  const request = await requestOf(question, planning);
  const resources = resourcesOf(question.words);
  const { program, warnings } = planBundleUpdate(request, resources);
  const before = request.spec.linux?.resources ?? {};
  const merged: Record<string, unknown> = { ...before };
  for (const [name, values] of Object.entries(resources))
    merged[name] = { ...(before[name] as object | undefined), ...(values as object) };
  const spec = { ...request.spec, linux: { ...request.spec.linux, resources: merged } };
  return [[abi.RUNTIME_SETUP, program], [abi.RUNTIME_CONFIG, JSON.stringify(spec)], ...warned(warnings)];
}

function failureOf(words: Question['words']): { op: number; errno: number; phase: number } {
  return { op: Number(one(words, 'op')), errno: Number(one(words, 'errno')), phase: Number(one(words, 'phase')) };
}

/** A program failed: why, in a sentence. */
function explain({ words, about }: Question): Part[] {
  return failed(planFailure(about, failureOf(words)));
}
