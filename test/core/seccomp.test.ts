// The default seccomp filter, executed: who may make which call.
import { describe, expect, it } from 'vitest';
import { seccompFilter } from '../../host/core/seccomp.ts';
import { planContainer } from '../../host/core/plans.ts';
import { readProgram } from '../../host/core/program.ts';
import { runFilter } from '../helpers/bpf.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';

const X86_64 = 0xc000003e;
const X86 = 0x40000003;
const AARCH64 = 0xc00000b7;
const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;

function filterFor(
  change: Parameters<typeof planRequest>[1] = () => {},
  architecture: 'x86_64' | 'aarch64' = 'x86_64',
) {
  const facts = hostFacts('v1', architecture);
  return seccompFilter(planRequest(facts, change).container, facts).filter;
}

const verdict = (filter: Uint8Array, arch: number, number: number, ...args: bigint[]) =>
  runFilter(filter, { arch, number, args });

describe('the default profile on x86-64', () => {
  const filter = filterFor();
  it.each([
    ['read', 0, [], ALLOW],
    ['openat', 257, [], ALLOW],
    ['mount', 165, [], EPERM],
    ['add_key', 248, [], EPERM],
    ['io_uring_setup', 425, [], EPERM],
    ['clone without namespaces', 56, [0x11n], ALLOW],
    ['clone with CLONE_NEWUSER', 56, [0x10000000n], EPERM],
    ['clone3', 435, [], ENOSYS],
    ['personality(0)', 135, [0n], ALLOW],
    ['personality(PER_LINUX32)', 135, [8n], ALLOW],
    ['personality(ADDR_NO_RANDOMIZE)', 135, [0x40000n], EPERM],
    ['personality with a high word', 135, [0x100000008n], EPERM],
    ['socket(AF_INET)', 41, [2n], ALLOW],
    ['socket(AF_VSOCK)', 41, [40n], EPERM],
    ['socket(AF_ALG)', 41, [38n], EPERM],
    ['socket(AF_NFC)', 41, [39n], ALLOW],
    ['a call newer than the profile', 600, [], ENOSYS],
    ['ptrace', 101, [], ALLOW],
  ])('%s', (_name, number, args, expected) => {
    expect(verdict(filter, X86_64, number as number, ...(args as bigint[]))).toBe(expected);
  });

  it('decides by the numbers of ia32 and x32 for their calls', () => {
    expect(verdict(filter, X86, 3)).toBe(ALLOW); // read
    expect(verdict(filter, X86, 21)).toBe(EPERM); // mount
    expect(verdict(filter, X86_64, 0x40000000)).toBe(ALLOW); // read
    expect(verdict(filter, X86_64, 0x400000a5)).toBe(EPERM); // mount
  });

  it('keeps AF_ALG from the direct calls of ia32 and x32; socketcall stays open, as with docker', () => {
    expect(verdict(filter, X86, 359, 38n)).toBe(EPERM);
    expect(verdict(filter, X86, 359, 2n)).toBe(ALLOW);
    expect(verdict(filter, X86_64, 0x40000029, 38n)).toBe(EPERM);
    expect(verdict(filter, X86, 102, 1n)).toBe(ALLOW);
  });

  it('kills callers of another architecture', () => {
    expect(verdict(filter, AARCH64, 63)).toBe(0);
  });

  it('opens with the capabilities that the profile names', () => {
    const admin = filterFor((request) => {
      request.container.host.capAdd = ['SYS_ADMIN'];
    });
    expect(verdict(admin, X86_64, 165)).toBe(ALLOW);
    expect(verdict(admin, X86_64, 435)).toBe(ALLOW);
    expect(verdict(admin, X86_64, 56, 0x10000000n)).toBe(ALLOW);
  });
});

describe('the default profile on aarch64', () => {
  const filter = filterFor(() => {}, 'aarch64');
  it('allows read and denies mount by its own numbers', () => {
    expect(verdict(filter, AARCH64, 63)).toBe(ALLOW);
    expect(verdict(filter, AARCH64, 40)).toBe(EPERM);
    expect(verdict(filter, X86_64, 0)).toBe(0);
  });
});

describe('a profile of the user', () => {
  const filterOf = (profile: object) =>
    filterFor((request) => {
      request.container.host.securityOpt = [`seccomp=${JSON.stringify(profile)}`];
    });
  const compared = (op: string, value: bigint) => {
    const text = JSON.stringify({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO', errnoRet: 5, args: [{ index: 2, value: 0, op }] }],
    }).replace('"value":0', `"value":${value}`);
    return filterFor((request) => {
      request.container.host.securityOpt = [`seccomp=${text}`];
    });
  };
  const values = [0n, 1n, 7n, 8n, 9n, 0xffffffffn, 0x100000000n, 0x100000007n, 0x100000008n, 0x7fffffffffffffffn];
  const operators: [string, (a: bigint, b: bigint) => boolean][] = [
    ['SCMP_CMP_EQ', (a, b) => a === b],
    ['SCMP_CMP_NE', (a, b) => a !== b],
    ['SCMP_CMP_LT', (a, b) => a < b],
    ['SCMP_CMP_LE', (a, b) => a <= b],
    ['SCMP_CMP_GT', (a, b) => a > b],
    ['SCMP_CMP_GE', (a, b) => a >= b],
  ];
  it.each(operators)('%s compares all 64 bits', (op, holds) => {
    for (const bound of values) {
      const filter = compared(op, bound);
      for (const value of values)
        expect(verdict(filter, X86_64, 0, 0n, 0n, value), `${value} ${op} ${bound}`).toBe(
          holds(value, bound) ? 0x00050005 : ALLOW,
        );
    }
  });

  it('keeps the low bits of 64-bit numbers', () => {
    const filter = compared('SCMP_CMP_EQ', 0xfedcba9876543211n);
    expect(verdict(filter, X86_64, 0, 0n, 0n, 0xfedcba9876543211n)).toBe(0x00050005);
    expect(verdict(filter, X86_64, 0, 0n, 0n, 0xfedcba9876543000n)).toBe(ALLOW);
  });

  it('hands its flags to the kernel', () => {
    const flagsOf = (flags: string[]) => {
      const request = planRequest(hostFacts('v1', 'x86_64'), (made) => {
        made.container.host.securityOpt = [`seccomp=${JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', flags })}`];
      });
      return readProgram(planContainer(request).setup).ops.find((op) => op.name === 'seccomp')?.operands[2];
    };
    expect(flagsOf([])).toMatchObject({ value: 0n });
    expect(flagsOf(['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW'])).toMatchObject({ value: 6n });
    expect(() => flagsOf(['SECCOMP_FILTER_FLAG_MAGIC'])).toThrow('unknown flag "SECCOMP_FILTER_FLAG_MAGIC"');
  });

  it('is refused with what is wrong in it', () => {
    expect(() => filterOf({ defaultAction: 'SCMP_ACT_MAYBE' })).toThrow('unknown action "SCMP_ACT_MAYBE"');
  });
});
