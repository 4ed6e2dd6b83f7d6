// The overlay of the root: layer by layer on new kernels, one page of options on those before 6.8.
import { describe, expect, it } from 'vitest';
import { planContainer } from '../../host/core/plans.ts';
import { readProgram } from '../../host/core/program.ts';
import type { PlanRequest } from '../../host/plan-types.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';

function opsOf(kernel: [number, number], rootfs: Partial<PlanRequest['rootfs']> = {}) {
  const request = planRequest({ ...hostFacts('v2', 'x86_64'), kernel }, (made) => Object.assign(made.rootfs, rootfs));
  return readProgram(planContainer(request).setup).ops.map(({ name, operands }) => ({
    name,
    texts: operands.flatMap((operand) => (operand.kind === 'string' ? [operand.text] : [])),
  }));
}

const optionsOf = (...given: Parameters<typeof opsOf>): string | undefined =>
  opsOf(...given).find(({ name, texts }) => name === 'mount' && texts[0] === 'overlay')?.texts[3];

describe('the overlay', () => {
  it.each<[number, number]>([
    [6, 8],
    [6, 18],
    [7, 0],
  ])('takes its layers one by one on Linux %i.%i', (...kernel) => {
    expect(optionsOf(kernel)).toBeUndefined();
    const layers = opsOf(kernel).filter(({ texts }) => texts[0] === 'lowerdir+');
    expect(layers.map(({ texts }) => texts[1])).toEqual(['/data/layers/b', '/data/layers/a']);
  });

  it.each<[number, number]>([
    [5, 15],
    [6, 1],
    [6, 7],
  ])('takes them in one option on Linux %i.%i, by names below the directory of all', (...kernel) => {
    expect(optionsOf(kernel)).toBe('lowerdir=b:a,upperdir=/data/c/upper,workdir=/data/c/work');
    expect(opsOf(kernel).find(({ name }) => name === 'chdir')?.texts).toEqual(['/data/layers']);
  });

  it('keeps names whole that hold what separates names', () => {
    expect(optionsOf([6, 1], { lower: ['/x/a:b', '/y/c,d'], upper: '/u\\v', volatile: true })).toBe(
      'lowerdir=/x/a\\:b:/y/c\\,d,upperdir=/u\\\\v,workdir=/data/c/work,volatile',
    );
    expect(optionsOf([6, 1], { lower: ['/a/bc/1', '/a/b/2'] })).toContain('lowerdir=bc/1:b/2,');
  });

  it('has room for 59 layers named by digests, and says where it has none', () => {
    const layers = (count: number) =>
      Array.from({ length: count }, (_, index) => `/var/lib/gantry/layers/${String(index).padStart(64, '0')}`);
    const own = `/var/lib/gantry/containers/${'0'.repeat(64)}`;
    const rootfs = { upper: `${own}/upper`, work: `${own}/work` };
    expect(optionsOf([6, 1], { ...rootfs, lower: layers(59) })).toHaveLength(4055);
    expect(() => opsOf([6, 1], { ...rootfs, lower: layers(60) })).toThrow('Cannot mount an image of 60 layers');
  });
});
