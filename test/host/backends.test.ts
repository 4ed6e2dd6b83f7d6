// Which backend runs a container, by its isolation. Nothing runs: backends start with what they are first used for.
import { afterAll, describe, expect, it } from 'vitest';
import { createBackends } from '../../host/engine/backends.ts';
import { GantryError } from '../../host/errors.ts';
import { createLinuxBackend } from '../../host/linux/backend.ts';

const main = createLinuxBackend({ stateDirectory: '/nowhere/main' });
const other = createLinuxBackend({ stateDirectory: '/nowhere/other' });
const lacking = async () => {
  throw new GantryError('BACKEND_UNAVAILABLE', 'There is no QEMU', { hint: 'Install it' });
};

describe('backends', () => {
  let opened = 0;
  const backends = createBackends(main, {
    vm: lacking,
    wasm: async () => {
      opened++;
      return other;
    },
  });
  afterAll(() => backends.close());

  it("are the engine's own where a container asks for no other", async () => {
    expect(await backends.of(undefined)).toBe(main);
    expect(await backends.of('process')).toBe(main);
    expect(opened).toBe(0);
  });

  it('are opened once, with the first container that asks', async () => {
    expect(await Promise.all([backends.of('wasm'), backends.of('wasm'), backends.known('wasm')])).toEqual([
      other,
      other,
      other,
    ]);
    expect(opened).toBe(1);
  });

  it('that are not there are refused with what each lacks', async () => {
    await expect(backends.of('vm')).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message:
        'Cannot isolate by "vm"; process: is the engine\'s own (linux); vm: There is no QEMU (Install it); wasm: is there',
      hint: 'Install it',
    });
    await expect(createBackends(main).of('wasm')).rejects.toMatchObject({
      message:
        'Cannot isolate by "wasm"; process: is the engine\'s own (linux); wasm: This engine has no backend for "wasm"',
    });
  });

  it('that have gone leave containers that can be listed and do not start', async () => {
    const gone = await backends.known('vm');
    expect(await gone.adopt('id', '/nowhere/socket')).toBeUndefined();
    expect(await gone.isPaused('id', '')).toBe(false);
    const plan = {
      id: '',
      spec: {},
      setup: new Uint8Array(),
      teardown: new Uint8Array(),
      cgroupWrites: [],
      warnings: [],
    };
    await expect(gone.start(plan, { attachOutput: false, attachStdin: false })).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
    });
  });
});
