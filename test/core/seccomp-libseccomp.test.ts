// Every decision of gantry's filters against libseccomp's for the same resolved profile, both executed.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callCore } from '../../host/core/core.ts';
import { runFilter } from '../helpers/bpf.ts';
import { actionNumber, type Libseccomp, openLibseccomp, readProfile, whyNoLibseccomp } from '../helpers/libseccomp.ts';
import {
  ALL_CAPABILITIES,
  architectureOf,
  argumentSets,
  customProfiles,
  newerThanLibseccomp,
  numbersOf,
  resolvedText,
  sections,
  type Target,
} from '../helpers/seccomp-cases.ts';

const encoder = new TextEncoder();
const ENOSYS = 0x00050026;
const permissive = new Set(['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE']);

describe.skipIf(whyNoLibseccomp())('a filter decides as libseccomp does', () => {
  let libseccomp: Libseccomp;
  beforeAll(() => {
    libseccomp = openLibseccomp();
  });
  afterAll(() => libseccomp?.close());

  /** Compares every number and argument set; returns how many calls were compared. */
  function compare(text: string, target: Target): number {
    const ours = callCore('compileSeccomp', encoder.encode(text), encoder.encode(JSON.stringify(target)));
    const profile = readProfile(resolvedText(text, target));
    const theirs = libseccomp.build(profile);
    expect(theirs.refused).toEqual([]);
    // Known difference 1: names that this libseccomp is too old for; runc leaves them out, gantry's table knows them.
    expect(theirs.unknown.filter((name) => newerThanLibseccomp[name] === undefined)).toEqual([]);
    const newer = new Set(theirs.unknown.flatMap((name) => newerThanLibseccomp[name] ?? []));
    const differences: string[] = [];
    let compared = 0;
    for (const section of sections(profile.architectures)) {
      const known = theirs.numbers.get(section.token) ?? new Map<string, number>();
      const newest = Math.max(-1, ...known.values(), ...[...newer].map((number) => number + section.base));
      const sets = argumentSets(profile, known, section);
      for (const number of numbersOf(section)) {
        if (newer.has(number - section.base)) continue;
        for (const args of sets.get(number) ?? sets.get(-1) ?? []) {
          const call = { arch: section.arch, number: number >>> 0, args };
          let expected = runFilter(theirs.filter, call);
          // Known difference 2: numbers newer than the profile answer ENOSYS, as runc patches libseccomp's filter.
          if (section.token !== 0 && number >>> 0 > newest && !permissive.has(profile.defaultAction)) expected = ENOSYS;
          const got = runFilter(ours, call);
          compared++;
          if (got !== expected && differences.length < 10)
            differences.push(
              `${section.name} ${number}(${args}): 0x${got.toString(16)}, not 0x${expected.toString(16)}`,
            );
        }
      }
    }
    expect(differences).toEqual([]);
    return compared;
  }

  const target = (architecture: 'x86_64' | 'aarch64', host: Partial<Target['host']> = {}): Target => ({
    architecture,
    kernel: [6, 18],
    host: { privileged: false, capAdd: [], capDrop: [], ...host },
    available: ALL_CAPABILITIES,
  });

  describe.each(['x86_64', 'aarch64'] as const)('on %s', (architecture) => {
    it('for the default profile', () => {
      expect(compare('', target(architecture))).toBeGreaterThan(1500);
      expect(compare('', { ...target(architecture), kernel: [4, 4] })).toBeGreaterThan(1500);
    });

    it.each(
      'DAC_READ_SEARCH SYS_ADMIN SYS_BOOT SYS_MODULE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG SYS_NICE SYSLOG BPF PERFMON ALL'.split(
        ' ',
      ),
    )('for the default profile with %s', (capability) => {
      compare('', target(architecture, { capAdd: [capability] }));
    });

    it('for the default profile without capabilities', () => {
      compare('', target(architecture, { capDrop: ['ALL'] }));
    });

    it.each(Object.entries(customProfiles(architectureOf(architecture))))('for a profile with %s', (_name, text) => {
      compare(text, target(architecture));
    });
  });

  it('but where two rules of a call hold and differ, the first counts', () => {
    // Known difference 3: libseccomp takes the order of its own tree there, which no document tells.
    const rule = (index: number, value: number, errnoRet: number) => ({
      names: ['read'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet,
      args: [{ index, value, op: 'SCMP_CMP_EQ' }],
    });
    const text = JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule(0, 3, 5), rule(1, 7, 6)] });
    const filter = callCore('compileSeccomp', encoder.encode(text), encoder.encode(JSON.stringify(target('x86_64'))));
    const verdict = (...args: bigint[]) => runFilter(filter, { arch: 0xc000003e, number: 0, args });
    expect([verdict(3n, 7n), verdict(3n, 0n), verdict(0n, 7n)]).toEqual([0x50005, 0x50005, 0x50006]);
  });

  it('and by the profile for the calls that libseccomp is too old for', () => {
    const filter = callCore('compileSeccomp', new Uint8Array(), encoder.encode(JSON.stringify(target('x86_64'))));
    const verdict = (number: number) => runFilter(filter, { arch: 0xc000003e, number, args: [] });
    for (const name of ['cachestat', 'fchmodat2', 'mseal', 'statmount', 'listmount', 'uretprobe'])
      expect(verdict(newerThanLibseccomp[name]![0]!), name).toBe(actionNumber('SCMP_ACT_ALLOW'));
    // Not in the profile, but older than its newest: as its default says. Newer: ENOSYS.
    expect(verdict(459)).toBe(actionNumber('SCMP_ACT_ERRNO'));
    expect(verdict(467)).toBe(ENOSYS);
  });
});
