// AppArmor on a real kernel: which profile a container's programs run under, and that it holds.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Containers, sh } from './containers.ts';
import { mappedOnDisk } from './mapped.ts';

const allowed = ['file', 'network', 'capability', 'signal', 'unix', 'ptrace'].map((rule) => `${rule},`).join('\n');
const profile = (name: string): string =>
  `profile ${name} flags=(attach_disconnected,mediate_deleted) {\n${allowed}\ndeny /tmp/forbidden rw,\n}\n`;
const look = 'cat /proc/self/attr/current; echo x > /tmp/forbidden; echo x > /tmp/allowed && echo written';

export function apparmorScenarios(containers: () => Containers): void {
  describe('under AppArmor', () => {
    const run = (securityOpt: string[], script = look, privileged = false) =>
      containers().run(sh(script), (request) => Object.assign(request.container.host, { securityOpt, privileged }));

    beforeAll(async () => {
      expect(containers().facts.features).toContain('apparmor');
      await containers().guest.ok('mount -t securityfs none /sys/kernel/security');
    });

    const load = async (name: string): Promise<void> => {
      const policy = compile(profile(name)).toString('base64');
      // The kernel takes a policy in one write(2).
      const into = 'dd of=/sys/kernel/security/apparmor/.load bs=64k 2> /dev/null';
      await containers().guest.ok(
        `echo ${policy} | base64 -d > /tmp/policy; dd if=/tmp/policy bs=64k 2> /dev/null | ${into}`,
      );
      expect(await containers().guest.ok('cat /sys/kernel/security/apparmor/profiles')).toContain(name);
    };

    it("runs without a profile where docker's is not loaded", async () => {
      expect((await run([])).output).toBe('unconfined\nwritten\n');
    });

    it('is refused under a profile that is not loaded', async () => {
      await expect(run(['apparmor=absent'])).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: 'Cannot apply the AppArmor profile "absent": it is not loaded',
      });
    });

    it('runs under the profile that is asked for, and so does what enters it', async () => {
      await load('gantry-test');
      const confined = "gantry-test (enforce)\nsh: can't create /tmp/forbidden: Permission denied\nwritten\n";
      expect((await run(['apparmor=gantry-test'])).output).toBe(confined);
      expect((await run(['apparmor=gantry-test', 'no-new-privileges'])).output).toBe(confined);
      const container = await containers().start(['sleep', '1000'], (request) => {
        request.container.host.securityOpt = ['apparmor=gantry-test'];
      });
      expect((await containers().exec(container, sh(look))).output).toBe(confined);
      container.process.signal(9);
      expect((await container.ended()).exitCode).toBe(137);
    });

    it("runs under docker's profile by default, where it is loaded, unless it is privileged or says otherwise", async () => {
      await load('docker-default');
      const script = 'cat /proc/self/attr/current';
      expect((await run([], script)).output).toBe('docker-default (enforce)\n');
      expect((await run(['apparmor=unconfined'], script)).output).toBe('unconfined\n');
      expect((await run([], script, true)).output).toBe('unconfined\n');
    });

    it('keeps its profile in a user namespace', async () => {
      const { output } = await containers().run(sh(look), await mappedOnDisk(containers().guest));
      expect(output).toContain('docker-default (enforce)\n');
      expect(output).toContain('Permission denied\nwritten\n');
    });
  });
}

function compile(source: string): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-apparmor-'));
  try {
    const [text, policy] = [join(directory, 'profile'), join(directory, 'policy')];
    writeFileSync(text, source);
    execFileSync('apparmor_parser', ['--skip-kernel-load', '--skip-cache', '--ofile', policy, text], { stdio: 'pipe' });
    return readFileSync(policy);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
