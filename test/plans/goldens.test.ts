// Golden plans: the plain one in full, each other by the lines in which it differs, on four kinds of host.
// UPDATE_GOLDENS=1 writes them anew; look at the diff before committing it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diffLines } from '../../host/core/plan-diff.ts';
import { explainPlan, planDigest } from '../../host/core/plan-text.ts';
import { planContainer } from '../../host/core/plans.ts';
import type { HostFacts } from '../../host/plan-types.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';
import { configurations } from './configurations.ts';

const hosts = [
  ['v1', 'x86_64'],
  ['v1', 'aarch64'],
  ['v2', 'x86_64'],
  ['v2', 'aarch64'],
] as const;

function describePlan(facts: HostFacts, name: string): { digest: string; lines: string[] } {
  try {
    const plan = planContainer(planRequest(facts, configurations[name]));
    return { digest: planDigest(plan), lines: explainPlan(plan).trimEnd().split('\n') };
  } catch (error) {
    return { digest: 'refused', lines: [(error as Error).message] };
  }
}

function golden(facts: HostFacts): string {
  const plain = describePlan(facts, 'plain');
  const sections = Object.keys(configurations).map((name) => {
    const { digest, lines } = describePlan(facts, name);
    const body = name === 'plain' || digest === 'refused' ? lines : diffLines(plain.lines, lines);
    return [`== ${name} ${digest}`, ...body].join('\n');
  });
  return `${sections.join('\n')}\n`;
}

describe('plans', () => {
  it.each(hosts)('are as they were on cgroup %s, %s', (layout, architecture) => {
    const path = join(import.meta.dirname, 'golden', `${layout}-${architecture}.txt`);
    const now = golden(hostFacts(layout, architecture));
    if (process.env.UPDATE_GOLDENS) writeFileSync(path, now);
    expect(existsSync(path), `${path} is missing: run with UPDATE_GOLDENS=1`).toBe(true);
    expect(now).toBe(readFileSync(path, 'utf8'));
  });

  it('are many enough, and no two that should differ are alike', () => {
    expect(Object.keys(configurations).length).toBeGreaterThanOrEqual(40);
    const digests = Object.keys(configurations)
      .map((name) => describePlan(hostFacts('v1', 'x86_64'), name))
      .filter(({ digest }) => digest !== 'refused')
      .map(({ digest }) => digest);
    expect(new Set(digests).size).toBe(digests.length);
  });

  it('show no secret', () => {
    for (const [layout, architecture] of hosts)
      expect(readFileSync(join(import.meta.dirname, 'golden', `${layout}-${architecture}.txt`), 'utf8')).not.toContain(
        'hidden',
      );
  });
});
