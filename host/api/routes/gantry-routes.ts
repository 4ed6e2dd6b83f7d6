// What only gantry has: plans before they run, and a check of this machine.
import { checkHost } from '../../engine/doctor.ts';
import type { Engine } from '../../engine/engine.ts';
import { readCreateBody } from '../fields/create-body.ts';
import { type Call, type Route, readJson, sendJson } from '../http.ts';

export function gantryRoutes(engine: Engine): Route[] {
  const plan = async (call: Call): Promise<void> => {
    const { plan: planned, text, digest } = await engine.plan(readCreateBody(await readJson(call), call.version));
    sendJson(call, {
      text,
      digest,
      spec: planned.spec,
      cgroupWrites: planned.cgroupWrites,
      warnings: planned.warnings,
    });
  };
  return [
    { method: 'POST', path: '/gantry/plan', handler: plan },
    {
      method: 'GET',
      path: '/gantry/doctor',
      handler: async (call) => {
        const checks = checkHost(await engine.backend.facts(), engine.damaged);
        sendJson(call, [...(await engine.backend.checks()), ...checks]);
      },
    },
  ];
}
