// The plan of a copy: where it runs, and what it must have given up before it touches a file.
import { describe, expect, it } from 'vitest';
import { lintPlan } from '../../host/core/lint.ts';
import { programLines } from '../../host/core/plan-text.ts';
import { planArchive } from '../../host/core/plans.ts';
import { readProgram } from '../../host/core/program.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';

const plan = (running: boolean, change: Parameters<typeof planRequest>[1] = () => {}): Uint8Array => {
  const request = planRequest(hostFacts('v1', 'x86_64'), change);
  return planArchive({
    ...request,
    running,
    action: 'pack',
    directory: '/etc/',
    name: 'hosts',
    as: 'hosts',
    uid: -1,
    gid: -1,
  });
};
const text = (bytes: Uint8Array): string => programLines(bytes).join('\n');

describe('the plan of a copy', () => {
  it('joins the mounts of a running container by its pidfd, in no cgroup, and executes nothing', () => {
    const lines = text(plan(true));
    expect(lines).toMatch(/setns\(fd\$\d+, (CLONE_NEWNS|0x20000|131072)/);
    expect(lines).toContain('archive(2, "/etc/", "hosts", "hosts", -1, -1)');
    expect(lines).not.toMatch(/execve|cgroup/);
  });

  it('mounts the root of one that rests, with its binds and without what the kernel makes up', () => {
    const lines = text(
      plan(false, (request) => {
        request.mounts = [{ type: 'bind', source: '/srv/data', target: '/data', sourceIsDirectory: true }];
      }),
    );
    expect(lines).toContain('fsopen("overlay"');
    expect(lines).toContain('/srv/data');
    expect(lines).toContain('pivot_root');
    expect(lines).not.toMatch(/"proc"|"sysfs"|"devpts"/);
  });

  it('is refused where devices could be opened', () => {
    const program = plan(true).slice();
    lintPlan(program);
    const { index } = readProgram(program).ops.find(({ name }) => name === 'mount_setattr')!;
    // The op becomes one that changes nothing: close(-1).
    const at = 32 + index * 64;
    new DataView(program.buffer).setUint16(at, 3, true);
    program.fill(0, at + 4, at + 56);
    new DataView(program.buffer).setUint32(at + 4, 1, true);
    expect(() => lintPlan(program)).toThrow('files are copied where no device can be opened');
  });
});
