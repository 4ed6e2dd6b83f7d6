// What only gantry has: plans before they run, and a check of this machine.
import { checkHost } from '../../engine/doctor.ts';
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import { readCreateBody } from '../fields/create-body.ts';
import { type Call, type Route, readJson, sendJson, withProgress } from '../http.ts';

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
  /** {images: names or IDs} → a line for each image, as soon as it was read. */
  const verify = async (call: Call): Promise<void> => {
    const { images: names } = (await readJson(call)) as { images?: unknown };
    if (!Array.isArray(names) || !names.every((name) => typeof name === 'string'))
      throw new GantryError('INVALID_ARGUMENT', 'Cannot read the request: "images" must be a list of names');
    const images = await Promise.all(names.map((name) => engine.images.find(name)));
    const checked = new Map();
    await withProgress(call, async (line) => {
      for (const [index, { id }] of images.entries()) {
        const { image, flaws, bytesRead } = await engine.images.verify(id, checked);
        line({ name: names[index], id, tags: image.tags, layers: image.diffIds.length, bytesRead, flaws });
      }
    });
  };
  return [
    { method: 'POST', path: '/gantry/plan', handler: plan },
    {
      method: 'GET',
      path: '/gantry/doctor',
      async handler(call) {
        const [facts, layers] = await Promise.all([engine.backend.facts(), engine.images.layerFormat()]);
        sendJson(call, [...(await engine.backend.checks()), ...checkHost(facts, engine.damaged, layers)]);
      },
    },
    { method: 'POST', path: '/gantry/verify', handler: verify },
  ];
}
