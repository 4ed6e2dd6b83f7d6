// Seccomp filters of containers: compiled once for each profile, capability set and kernel, then remembered.
import { readFileSync } from 'node:fs';
import { GantryError } from '../errors.ts';
import type { HostFacts } from '../plan-types.ts';
import type { ContainerConfig } from '../types.ts';
import { callCore } from './core.ts';

export interface SeccompFilter {
  /** Instructions; empty: unconfined. */
  filter: Uint8Array;
  /** SECCOMP_FILTER_FLAG_* of the profile. */
  flags: string[];
  /** Resolved OCI linux.seccomp; undefined: unconfined. */
  profile: unknown;
}

const unconfined: SeccompFilter = { filter: new Uint8Array(), flags: [], profile: undefined };
type Filters = Map<string, SeccompFilter>;
const targets = new Map<string, Filters>();
const targetsOfFacts = new WeakMap<HostFacts, Filters>();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The profile that --security-opt seccomp= names; "" is the default, undefined unconfined. */
function profileText(container: ContainerConfig): string | undefined {
  const option = container.host.securityOpt.findLast((entry) => /^seccomp[=:]/.test(entry));
  const value = option?.slice('seccomp='.length);
  if (value === undefined) return container.host.privileged ? undefined : '';
  if (value === 'unconfined') return undefined;
  if (value === 'builtin' || value === 'default') return '';
  if (value.startsWith('{')) return value;
  try {
    return readFileSync(value, 'utf8');
  } catch (cause) {
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot read the seccomp profile "${value}": ${(cause as Error).message}`,
      {
        hint: 'Give the path of a profile in JSON, "builtin" or "unconfined"',
        cause,
      },
    );
  }
}

/** Facts that nobody can change are compared as objects, others by what a filter depends on. */
function rememberedFor(facts: HostFacts): Filters {
  const known = targetsOfFacts.get(facts);
  if (known !== undefined) return known;
  const text = JSON.stringify([facts.architecture, facts.kernel, facts.capabilities]);
  const filters = targets.get(text) ?? new Map<string, SeccompFilter>();
  targets.set(text, filters);
  if (Object.isFrozen(facts)) targetsOfFacts.set(facts, filters);
  return filters;
}

/** Compiles what the container asks for. @throws {GantryError} INVALID_ARGUMENT with what is wrong in the profile. */
export function seccompFilter(container: ContainerConfig, facts: HostFacts): SeccompFilter {
  const text = profileText(container);
  if (text === undefined || !facts.features.includes('seccomp')) return unconfined;
  const { privileged, capAdd, capDrop } = container.host;
  const host = { privileged, capAdd, capDrop };
  const key = `${JSON.stringify(host)}${text}`;
  const remembered = rememberedFor(facts);
  let found = remembered.get(key);
  if (found === undefined) {
    const target = JSON.stringify({
      architecture: facts.architecture,
      kernel: facts.kernel,
      host,
      available: facts.capabilities,
    });
    const inputs = [encoder.encode(text), encoder.encode(target)] as const;
    const filter = callCore('compileSeccomp', ...inputs);
    const profile = JSON.parse(decoder.decode(callCore('resolveSeccomp', ...inputs))) as { flags?: string[] };
    found = { filter, flags: profile.flags ?? [], profile };
    remembered.set(key, found);
  }
  return found;
}
