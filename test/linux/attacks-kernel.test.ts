// Doors of the kernel that the default filter and capabilities keep shut, tried by real calls of every architecture.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoProbe } from '../helpers/probe.ts';
import { createProbeInstallation, type ProbeInstallation } from '../helpers/probe-image.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const wrongMachine = process.arch === 'x64' ? '' : 'the numbers are those of x86-64';
if (wrongMachine !== '') console.log(`Calls by number are not tested: ${wrongMachine}`);

describe.skipIf(whyNoContainers() || whyNoProbe() || wrongMachine)('the default container', () => {
  let here: ProbeInstallation;
  beforeAll(async () => {
    here = await createProbeInstallation();
  });
  afterAll(() => here?.close());

  const X32 = 0x40000000;
  const CLONE_NEWUSER = 0x10000000;
  const CLONE_NEWCGROUP = 0x2000000;

  it.each<[string, string, (string | number)[], RegExp]>([
    ['mount', 'syscall', [165], /EPERM$/],
    ['unshare of a user namespace', 'syscall', [272, CLONE_NEWUSER], /EPERM$/],
    ['unshare of a cgroup namespace', 'syscall', [272, CLONE_NEWCGROUP], /EPERM$/],
    ['clone of a user namespace', 'syscall', [56, CLONE_NEWUSER | 17], /EPERM$/],
    ['clone3, so that libc falls back', 'syscall', [435, 0, 0], /ENOSYS$/],
    ['bpf', 'syscall', [321, 0], /EPERM$/],
    ['io_uring_setup', 'syscall', [425, 1, 0], /EPERM$/],
    ['add_key', 'syscall', [248, 0, 0, 0, 0, 0], /EPERM$/],
    ['keyctl', 'syscall', [250, 0, 0], /EPERM$/],
    ['userfaultfd', 'syscall', [323, 0], /EPERM$/],
    ['AF_ALG', 'syscall', [41, 38, 5, 0], /EPERM$/],
    ['AF_ALG with a high word', 'syscall', [41, '0x100000026', 5, 0], /EPERM$|EAFNOSUPPORT$/],
    ['AF_VSOCK', 'syscall', [41, 40, 1, 0], /EPERM$/],
    ['mount of ia32', 'syscall32', [21], /EPERM$/],
    ['AF_ALG of ia32', 'syscall32', [359, 38, 5], /EPERM$/],
    ['AF_INET of ia32', 'syscall32', [359, 2, 1], /ok$/],
    ['getpid of ia32', 'syscall32', [20], /^1 ok$/],
    ['unshare of ia32', 'syscall32', [310, CLONE_NEWUSER], /EPERM$/],
    // Most kernels have no x32: ENOSYS then, by the kernel, behind the filter.
    ['mount of x32', 'syscall', [X32 + 165], /EPERM$/],
    ['AF_ALG of x32', 'syscall', [X32 + 41, 38, 5, 0], /EPERM$/],
    ['getpid of x32', 'syscall', [X32 + 39], /ok$|ENOSYS$/],
    ['a call of the future', 'syscall', [600], /ENOSYS$/],
  ])('answers %s', async (_name, verb, args, expected) => {
    expect(await here.box('box', 'probe', verb, ...args.map(String))).toMatch(expected);
  });

  it('hands out AF_ALG where the profile is off, so that the filter is what refuses it', async () => {
    const open = await here.box(
      '--security-opt',
      'seccomp=unconfined',
      'box',
      'probe',
      'syscall',
      '41',
      '38',
      '5',
      '0',
    );
    expect(open).toMatch(/ok$|EAFNOSUPPORT$/);
  });

  it('decides by a profile of the user, with numbers of 64 bits', async () => {
    const path = join(here.dataRoot, 'profile.json');
    // prctl(2) with an option that no kernel knows: EINVAL unless the filter answers first.
    const value = 18364758544493064720n;
    const rule = `{"names":["prctl"],"action":"SCMP_ACT_ERRNO","errnoRet":99,"args":[{"index":1,"value":${value},"op":"SCMP_CMP_EQ"}]}`;
    writeFileSync(path, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[${rule}]}`);
    const call = (argument: bigint) =>
      here.box('--security-opt', `seccomp=${path}`, 'box', 'probe', 'syscall', '157', '9999', String(argument));
    expect(await call(value)).toMatch(/EADDRNOTAVAIL$/);
    expect(await call(value + 1n)).toMatch(/EINVAL$/);
  });

  it('cannot make the kernel run a program of the host (CVE-2022-0492)', async () => {
    const tries = [
      'for file in $(find /sys/fs/cgroup -name release_agent); do echo x > $file && echo written; done',
      'echo x > /proc/sys/kernel/core_pattern && echo written',
      'echo x > /proc/sys/kernel/modprobe && echo written',
      'echo x > /proc/sysrq-trigger && echo written',
      'mount -t cgroup -o memory none /tmp && echo mounted',
      'mount -o remount,rw /proc/sys && echo mounted',
      'umount /proc/sys && echo unmounted',
      'umount /proc/kcore && echo unmounted',
      'true',
    ];
    expect(await here.box('box', 'sh', '-c', `(${tries.join('; ')}) 2>/dev/null`)).toBe('');
  });
});
