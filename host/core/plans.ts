// Requests → plans: the calls into the core that the engine and the backends make.
import {
  ARCHIVE_PACK,
  ARCHIVE_STAT,
  ARCHIVE_STAT_SIZE,
  ARCHIVE_UNPACK,
  ARCHIVE_UNPACK_KEEP,
} from '../../core-asm/abi.ts';
import type { ContainerConfig, Resources } from '../types.ts';
import type { ArchiveRequest, ExecRequest, HostFacts, Plan, PlanNetwork, PlanRequest } from '../plan-types.ts';
import { callCore } from './core.ts';
import { lintPlan } from './lint.ts';
import { partsOf } from './parts.ts';
import { idName, type PlannedPart, planByTemplate, slotName, type Templates } from './plan-templates.ts';
import { readProgram } from './program.ts';
import { type SeccompFilter, seccompFilter } from './seccomp.ts';
import { warningSentences } from './warnings.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function encode(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

/**
 * Plans a container: its spec, its programs and its limits. Runs nothing.
 * @throws {GantryError} with the core's reason; PLAN_REFUSED where a lint rule is violated.
 */
export function planContainer(request: PlanRequest): Plan {
  const seccomp = seccompFilter(request.container, request.facts);
  const { facts, ...rest } = request;
  const text = `{"facts":${factsText(facts)},${JSON.stringify({ ...rest, seccompFlags: seccomp.flags }).slice(1)}`;
  const plan = (input: string): Uint8Array[] => {
    const planned = partsOf(callCore('planContainer', encoder.encode(input), seccomp.filter));
    lintPlan(planned[0]!);
    return planned;
  };
  const names = [idName(request.id), ...(request.pooledSlot === undefined ? [] : [slotName(request.pooledSlot)])];
  const { programs, descriptions } = templatesOf(seccomp);
  const byTemplate = (templates: Templates, make: (input: string) => Uint8Array[]): PlannedPart => {
    if (request.network.interfaces.length === 0) return planByTemplate(templates, text, names, make);
    const parts = make(text); // Addresses differ from container to container: nothing would be found again.
    return (part) => parts[part]!;
  };
  const planned = byTemplate(programs, plan);
  let setup: Uint8Array | undefined;
  let teardown: Uint8Array | undefined;
  let known: Described | undefined;
  const described = (): Described => {
    known ??= readDescription(byTemplate(descriptions, describe)(0), seccomp.profile);
    return known;
  };
  return {
    id: request.id,
    // Described when somebody asks: a start does not.
    get spec() {
      return described().spec;
    },
    get cgroupWrites() {
      return described().cgroupWrites;
    },
    get setup() {
      setup ??= planned(0);
      return setup;
    },
    get teardown() {
      teardown ??= planned(1);
      return teardown;
    },
    warnings: warningSentences(decoder.decode(planned(2))),
  };
}

interface ContainerTemplates {
  programs: Templates;
  descriptions: Templates;
}

const containers = new WeakMap<SeccompFilter, ContainerTemplates>();

/** Filters are remembered, and are no part of a request. */
function templatesOf(filter: SeccompFilter): ContainerTemplates {
  const known = containers.get(filter) ?? { programs: new Map(), descriptions: new Map() };
  containers.set(filter, known);
  return known;
}

const factTexts = new WeakMap<HostFacts, string>();

/** Facts are read once and sent with every request: those that nobody can change are written once, too. */
function factsText(facts: HostFacts): string {
  if (!Object.isFrozen(facts)) return JSON.stringify(facts);
  const known = factTexts.get(facts) ?? JSON.stringify(facts);
  factTexts.set(facts, known);
  return known;
}

type Described = Pick<Plan, 'spec' | 'cgroupWrites'>;

function describe(input: string): Uint8Array[] {
  return [callCore('describeContainer', encoder.encode(input))];
}

function readDescription(bytes: Uint8Array, profile: unknown): Described {
  const described = JSON.parse(decoder.decode(bytes)) as Described;
  if (profile !== undefined) Object.assign(described.spec.linux as object, { seccomp: profile });
  return described;
}

/** Plans a process in a running container. */
export function planExec(request: ExecRequest): Uint8Array {
  const container = request.privileged
    ? { ...request.container, host: { ...request.container.host, privileged: true } }
    : request.container;
  const { filter, flags } = seccompFilter(container, request.facts);
  const program = callCore('planExec', encode({ ...request, seccompFlags: flags }), filter);
  lintPlan(program);
  return program;
}

export { ARCHIVE_STAT_SIZE };

const archiveActions = {
  stat: ARCHIVE_STAT,
  pack: ARCHIVE_PACK,
  unpack: ARCHIVE_UNPACK,
  'unpack keeping kinds': ARCHIVE_UNPACK_KEEP,
};

/** Plans a child that reads or writes files of a container, running or not. */
export function planArchive(request: ArchiveRequest): Uint8Array {
  const program = callCore('planArchive', encode({ ...request, action: archiveActions[request.action] }));
  lintPlan(program);
  return program;
}

const slots: Templates = new Map();
const emptyHost = { host: { cgroupParent: '' } };

/** Plans a pool slot: cgroups with a launcher parked in them, and their removal. */
export function planPool(
  facts: HostFacts,
  slot: string,
  cgroupParent: string,
): { program: Uint8Array; teardown: Uint8Array } {
  const container = { ...emptyHost, host: { cgroupParent } };
  const request = `{"facts":${factsText(facts)},"id":"${slot}","container":${JSON.stringify(container)}}`;
  const plan = (input: string): Uint8Array[] => partsOf(callCore('planSlot', encoder.encode(input)));
  const planned = planByTemplate(slots, request, [slotName(slot)], plan);
  return { program: planned(0), teardown: planned(1) };
}

/** Plans the removal of what a container may have left: after a crash of its supervisor. */
export function planTeardown(
  facts: HostFacts,
  id: string,
  container: ContainerConfig,
  network: Pick<PlanNetwork, 'firewall'>,
): Uint8Array {
  return callCore('planTeardown', encode({ facts, id, container, network }));
}

let paths: { masked: string[]; readOnly: string[] } | undefined;

/** The system paths that containers may not see, or not change, where they say nothing themselves. */
export function systemPaths(): { masked: string[]; readOnly: string[] } {
  paths ??= JSON.parse(decoder.decode(callCore('systemPaths', encode({})))) as NonNullable<typeof paths>;
  return paths;
}

export interface ControlRequest {
  facts: HostFacts;
  id: string;
  cgroupParent: string;
  action: string;
  /** For "kill". */
  signal: number;
}

/** Plans what is done to all processes of a container at once: "freeze", "thaw" or "kill"; or "sweep", whatever `id` is. */
export function planControl({ facts, id, cgroupParent, action, signal }: ControlRequest): Uint8Array {
  const container = { host: { cgroupParent } };
  return callCore('planControl', encode({ facts, id, container, action, signal }));
}

export interface UpdateRequest {
  facts: HostFacts;
  id: string;
  cgroupParent: string;
  before: Resources;
  after: Resources;
}

/**
 * Plans a change of a container's limits; backwards it undoes one.
 * @throws {GantryError} with the core's reason, as for a new container.
 */
export function planUpdate({ cgroupParent, ...request }: UpdateRequest): { program: Uint8Array; warnings: string[] } {
  const container = { host: { cgroupParent } };
  const [program, warnings] = partsOf(callCore('planUpdate', encode({ ...request, container })));
  return { program: program!, warnings: warningSentences(decoder.decode(warnings)) };
}

export interface VolumeRequest {
  action: 'mount' | 'unmount';
  /** Directory of the host. */
  path: string;
  type: string;
  device: string;
  /** In mount(8)'s words. */
  options: string[];
}

/** Plans that a volume's file system comes to its directory, or leaves it. */
export function planVolume(facts: HostFacts, request: VolumeRequest): Uint8Array {
  return callCore('planVolume', encode({ facts: { architecture: facts.architecture }, ...request }));
}

/** Plans the removal of whole trees, none of which is a mount point. */
export function planRemoval(facts: HostFacts, paths: string[]): Uint8Array {
  return callCore('planRemoval', encode({ facts: { architecture: facts.architecture }, paths }));
}

/** Plans that directories of containers are made as new; `opsEach` of its ops are about each. */
export function planRenewal(facts: HostFacts, paths: string[]): { program: Uint8Array; opsEach: number } {
  const program = callCore('planRenewal', encode({ facts: { architecture: facts.architecture }, paths }));
  return { program, opsEach: readProgram(program).ops.length / paths.length };
}

/** Plans that what is made below these directories lies apart on the disk. */
export function planSpread(facts: HostFacts, paths: string[]): Uint8Array {
  return callCore('planSpread', encode({ facts: { architecture: facts.architecture }, paths }));
}
