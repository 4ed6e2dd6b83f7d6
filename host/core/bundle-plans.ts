// OCI bundles → plans: the calls into the core that gantry-runtime makes.
import type { HostFacts } from '../plan-types.ts';
import { callCore } from './core.ts';
import { lintPlan } from './lint.ts';
import { partsOf } from './parts.ts';
import { warningSentences } from './warnings.ts';

/** config.json, as far as this side looks into it. */
export interface OciSpec {
  process?: OciProcess;
  root?: { path?: string };
  annotations?: Record<string, string>;
  linux?: {
    seccomp?: OciSeccomp | null;
    cgroupsPath?: string;
    resources?: Record<string, unknown>;
    namespaces?: { type: string; path?: string }[];
  };
  [field: string]: unknown;
}

export interface OciProcess {
  terminal?: boolean;
  consoleSize?: { height: number; width: number } | null;
  args?: string[];
  env?: string[];
  cwd?: string;
  user?: { uid?: number; gid?: number; additionalGids?: number[]; [field: string]: unknown };
  capabilities?: Record<string, string[]>;
  [field: string]: unknown;
}

export interface OciSeccomp {
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls?: { action: string }[] | null;
  [field: string]: unknown;
}

export interface BundleRequest {
  facts: HostFacts;
  /** The cgroup's name where the spec gives no path; the container's. */
  id: string;
  spec: OciSpec;
  bundle: { id: string; directory: string; noPivot?: boolean; noNewKeyring?: boolean };
  /** An empty directory of the host, PATH, and PATH-mask. */
  paths: { emptyDirectory: string };
}

export interface BundlePlan {
  setup: Uint8Array;
  /** What is to be run once the program runs: its hooks. */
  started: Uint8Array;
  gone: Uint8Array;
  freeze: Uint8Array;
  thaw: Uint8Array;
  cgroup: string;
  /** What hooks get, without the end. */
  head: string;
  warnings: string[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const none = new Uint8Array();

/** Profiles come with each container, and are almost always the same. */
const FILTERS_KEPT = 32;
const filters = new Map<string, Uint8Array>();

function seccompOf(spec: OciSpec, facts: HostFacts): Uint8Array {
  const profile = spec.linux?.seccomp;
  if (!profile || !facts.features.includes('seccomp')) return none;
  const text = JSON.stringify(profile);
  const known = filters.get(text);
  if (known !== undefined) return known;
  const { architecture, kernel, capabilities } = facts;
  const target = JSON.stringify({ architecture, kernel, host: {}, available: capabilities });
  const filter = callCore('compileSeccomp', encoder.encode(text), encoder.encode(target));
  if (filters.size >= FILTERS_KEPT) filters.clear();
  filters.set(text, filter);
  return filter;
}

/** The plan reads of a profile only who listens to it: the rules are in the filter. */
function encode(request: BundleRequest & Record<string, unknown>): Uint8Array {
  const seccomp = request.spec.linux?.seccomp;
  if (!seccomp) return encoder.encode(JSON.stringify(request));
  const syscalls = (seccomp.syscalls ?? []).filter(({ action }) => action === 'SCMP_ACT_NOTIFY');
  const spec = { ...request.spec, linux: { ...request.spec.linux, seccomp: { ...seccomp, syscalls } } };
  return encoder.encode(JSON.stringify({ ...request, spec }));
}

/** @throws {GantryError} with what of config.json is refused. */
export function planBundle(request: BundleRequest): BundlePlan {
  const made = callCore('planBundle', encode({ ...request }), seccompOf(request.spec, request.facts));
  const [setup = none, started = none, gone = none, freeze = none, thaw = none, cgroup, head, warnings] = partsOf(made);
  lintPlan(setup);
  return {
    setup,
    started,
    gone,
    freeze,
    thaw,
    cgroup: decoder.decode(cgroup),
    head: decoder.decode(head),
    warnings: warningSentences(decoder.decode(warnings)),
  };
}

/** A further process in the container. */
export function planBundleExec(
  request: BundleRequest,
  process: OciProcess,
): { program: Uint8Array; warnings: string[] } {
  const made = callCore('planBundleExec', encode({ ...request, process }), seccompOf(request.spec, request.facts));
  const [program = none, warnings] = partsOf(made);
  lintPlan(program);
  return { program, warnings: warningSentences(decoder.decode(warnings)) };
}

/** Other limits, in the words of linux.resources. */
export function planBundleUpdate(
  request: BundleRequest,
  resources: Record<string, unknown>,
): { program: Uint8Array; warnings: string[] } {
  const [program = none, warnings] = partsOf(callCore('planBundleUpdate', encode({ ...request, resources })));
  return { program, warnings: warningSentences(decoder.decode(warnings)) };
}
