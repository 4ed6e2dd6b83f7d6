// Plans made from templates are, byte for byte, what the core would have planned for the container itself.
import { describe, expect, it } from 'vitest';
import { callCore } from '../../host/core/core.ts';
import { idName, planByTemplate, slotName, type Templates } from '../../host/core/plan-templates.ts';
import { seccompFilter } from '../../host/core/seccomp.ts';
import type { PlanRequest } from '../../host/plan-types.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';
import { configurations } from '../plans/configurations.ts';

const ids = [
  '0a1b2c3d4e5f60718293a4b5c6d7e8f9',
  'ffeeddccbbaa99887766554433221100',
  '1234567890ab1234567890abcdef0123',
].map((half) => half + half.split('').reverse().join(''));

/** The request with an ID where an engine has it: in paths, in the hostname, in the environment. */
function requestFor(id: string, change?: (request: PlanRequest) => void): PlanRequest {
  const request = planRequest(hostFacts('v1', 'x86_64'), change);
  const named = (text: string): string =>
    text.replace('/data/c/', `/data/${id}/`).replace('/run/gantry/c/', `/run/gantry/${id.slice(0, 24)}/`);
  const { paths, rootfs } = request;
  return {
    ...request,
    id,
    container: { ...request.container, hostname: id.slice(0, 12), env: [`SELF=${id.slice(0, 20)}`] },
    paths: Object.fromEntries(
      Object.entries(paths).map(([key, value]) => [key, typeof value === 'string' ? named(value) : value]),
    ) as unknown as PlanRequest['paths'],
    rootfs: {
      ...rootfs,
      ...(rootfs.upper === undefined ? {} : { upper: named(rootfs.upper), work: named(rootfs.work ?? '') }),
    },
  };
}

function outcome(plan: () => Uint8Array[]): string {
  try {
    return plan()
      .map((part) => Buffer.from(part).toString('latin1'))
      .join('|');
  } catch (error) {
    return (error as Error).message;
  }
}

describe('plans by template', () => {
  it.each(Object.keys(configurations))('are what the core plans: %s', (name) => {
    const templates: Templates = new Map();
    const { filter } = seccompFilter(requestFor(ids[0]!, configurations[name]).container, hostFacts('v1', 'x86_64'));
    for (const [index, id] of ids.entries()) {
      const request = JSON.stringify(requestFor(id, configurations[name]));
      let planned = 0;
      const plan = (text: string): Uint8Array[] => {
        planned++;
        return [callCore('planContainer', new TextEncoder().encode(text), filter)];
      };
      const found = outcome(() => [planByTemplate(templates, request, [idName(id)], plan)(0)]);
      expect(found).toContain(found.includes('\0') ? id : '');
      if (found.includes('\0') && index > 0) expect(planned).toBe(0);
      expect(found).toBe(outcome(() => plan(request)));
    }
  });

  it('keep a slot and an ID apart, and what else differs, too', () => {
    const templates: Templates = new Map();
    const asked: string[] = [];
    const plan = (request: string): Uint8Array[] => {
      asked.push(request);
      return [Buffer.from(request)];
    };
    const ask = (request: string, id: string, slot: string): string =>
      Buffer.from(planByTemplate(templates, request, [idName(id), slotName(slot)], plan)(0)).toString();
    const [first = '', second = ''] = ids;
    const requests = [first, second].flatMap((id) =>
      ['slot-0123456789abcdef', 'slot-fedcba9876543210'].map(
        (slot) => [`{"${id}","${id.slice(0, 12)}","${slot}"}`, id, slot] as const,
      ),
    );
    for (const [request, id, slot] of requests) expect(ask(request, id, slot)).toBe(request);
    expect(asked).toHaveLength(1);
    expect(ask(`{"${first}",2}`, first, 'slot-0123456789abcdef')).toBe(`{"${first}",2}`);
    expect(asked).toHaveLength(2);
  });

  it('are not made where an ID could be a number, or the request says what a template says', () => {
    const templates: Templates = new Map();
    const plan = (request: string): Uint8Array[] => [Buffer.from(request)];
    const zeros = '0'.repeat(64);
    expect(idName(zeros)).toBeUndefined();
    planByTemplate(templates, `{"memory":1000000000000,"id":"${zeros}"}`, [idName(zeros)], plan);
    const { canonical } = idName(ids[0]!)!;
    planByTemplate(templates, `{"id":"${ids[0]}","env":"${canonical}"}`, [idName(ids[0]!)], plan);
    expect(templates.size).toBe(0);
  });
});
