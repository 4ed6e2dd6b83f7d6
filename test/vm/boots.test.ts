// Boots in a row, each of which must be reached; and an accelerator that may be there and not work. GANTRY_VM_BOOTS=100 for a soak.
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findQemu } from '../../host/vm/find-qemu.ts';
import { prepareGuestFiles } from '../../host/vm/guest-files.ts';
import { type Architecture, type GuestSpec, qemuProgram } from '../../host/vm/qemu-arguments.ts';
import { startMachine } from '../../host/vm/virtual-machine.ts';
import { createInstallation } from '../helpers/cli.ts';
import { guestImage } from './guest-image.ts';
import { whyNoGuest } from './guest.ts';

const BOOTS = Number(process.env.GANTRY_VM_BOOTS ?? 5);
const BOOT_MS = 120_000;
const native: Architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

describe.each(['x86_64', 'aarch64'] as const)('guests of %s', (architecture) => {
  describe.skipIf(whyNoGuest(architecture))('', () => {
    let directory: string;
    let spec: GuestSpec;
    let log: string;

    beforeAll(() => {
      directory = mkdtempSync(join(tmpdir(), 'gantry-boots-'));
      const files = prepareGuestFiles(guestImage(architecture), join(directory, 'vm'), architecture);
      const ports = { port: { socket: join(directory, 'port') }, sharesPort: { socket: join(directory, 'shares') } };
      const paths = { console: join(directory, 'console.log'), ...ports };
      const size = { memoryMb: 512, cpus: 1 };
      log = join(directory, 'qemu.log');
      spec = { host: 'linux', architecture, accelerator: 'tcg', ...size, ...files, ...paths };
    });

    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    it(`are reached, each of ${architecture === native ? BOOTS : 1}`, { timeout: BOOTS * BOOT_MS }, async () => {
      const qemu = await findQemu(architecture, 'linux');
      const times: number[] = [];
      for (let boot = 0; boot < (architecture === native ? BOOTS : 1); boot++) {
        const began = performance.now();
        const machine = await startMachine(qemu.path, spec, { log, deadlineMs: BOOT_MS });
        times.push(Math.round(performance.now() - began));
        const version = (await buffer(machine.channel.open(['read', '/proc/version']))).toString();
        expect(version).toMatch(/^Linux version \d/);
        // The clock is this host's.
        const uptime = await buffer(machine.channel.open(['read', '/proc/stat']));
        expect(Number(/^btime (\d+)$/m.exec(uptime.toString())?.[1])).toBeGreaterThan(Date.now() / 1000 - 600);
        await machine.stop();
        expect(await machine.ended).toBe('QEMU ended with status 0');
        expect(readFileSync(spec.console, 'utf8')).toMatch(/reboot: Power(ing)? [dD]own|^$/);
      }
      times.sort((a, b) => a - b);
      const at = (part: number): number => times[Math.floor((times.length - 1) * part)]!;
      console.log(
        `${qemuProgram(architecture)}: ${times.length} boots, ms to the greeting: median ${at(0.5)}, most ${at(1)}`,
      );
    });

    it('that do not answer in time are ended and told', async () => {
      const qemu = await findQemu(architecture, 'linux');
      await expect(startMachine(qemu.path, spec, { log, deadlineMs: 50 })).rejects.toMatchObject({
        code: 'BACKEND_UNAVAILABLE',
        message: expect.stringContaining('the guest did not answer in 0.05 s'),
      });
      await expect(
        startMachine(qemu.path, { ...spec, disk: '/absent' }, { log, deadlineMs: BOOT_MS }),
      ).rejects.toMatchObject({
        message: expect.stringMatching(/Could not open '\/absent'/),
      });
      await expect(startMachine('/absent/qemu', spec, { log, deadlineMs: BOOT_MS })).rejects.toMatchObject({
        message: expect.stringMatching(/QEMU did not start: .*ENOENT/),
      });
    });
  });
});

function hasKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    console.log('No accelerator is tried: /dev/kvm is not there');
    return false;
  }
}

describe.skipIf(whyNoGuest(native) || !hasKvm())('an accelerator', () => {
  it('is used where it works; where it does not, that is found out once, and told', { timeout: 180_000 }, async () => {
    const here = createInstallation(['env', 'GANTRY_BACKEND=vm', `GANTRY_VM_IMAGE=${guestImage(native)}`]);
    try {
      expect(await here.ok('run', '--name', 'first', 'gantry/hello')).toContain('Hello from inside a container!');
      const { accelerator, failed } = JSON.parse(readFileSync(join(here.dataRoot, 'vm/accelerator.json'), 'utf8'));
      const doctor = await here.ok('doctor');
      if (accelerator === 'kvm') {
        expect(failed).toEqual({});
        expect(doctor).toMatch(/^✓ virtual machine +guest by kvm; /m);
        return;
      }
      expect(accelerator).toBe('tcg');
      expect(failed.kvm).toMatch(/\S/);
      expect(doctor).toMatch(/^! virtual machine +guest by tcg; .*; kvm does not work \(.*\n +Hint: /m);
    } finally {
      await here.close();
    }
  });
});
