// The virtual machine that an engine's containers run in: what it is, and its life.
import type { MachineControl } from '../../backend.ts';
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import { type Call, type Route, sendJson } from '../http.ts';

export function machineRoutes(engine: Engine): Route[] {
  /** @throws {GantryError} UNSUPPORTED. */
  const machine = (): MachineControl => {
    if (engine.backend.machine !== undefined) return engine.backend.machine;
    throw new GantryError('UNSUPPORTED', 'This engine has no virtual machine: its containers run on this kernel', {
      hint: 'End it, and start one with GANTRY_BACKEND=vm',
    });
  };
  const info = async (call: Call): Promise<void> => sendJson(call, await machine().info());

  /** As with a computer: programs are asked to end before it is switched off. */
  const endContainers = async (): Promise<void> => {
    const running = engine.list().filter(({ running }) => running !== undefined);
    await Promise.all(running.map((container) => engine.stop(container)));
    await engine.settle(); // Or their clean-up would start it again.
  };

  return [
    { method: 'GET', path: '/gantry/machine', handler: info },
    {
      method: 'POST',
      path: '/gantry/machine/start',
      async handler(call) {
        await machine().start();
        await info(call);
      },
    },
    {
      method: 'POST',
      path: '/gantry/machine/stop',
      async handler(call) {
        const control = machine();
        await endContainers();
        await control.stop();
        await info(call);
      },
    },
    {
      method: 'POST',
      path: '/gantry/machine/reset',
      async handler(call) {
        const control = machine();
        for (const container of engine.list()) await engine.remove(container, { force: true, volumes: true });
        await engine.settle();
        for (const { name } of engine.volumes.list()) await engine.removeVolume(name);
        await control.reset();
        await info(call);
      },
    },
  ];
}
