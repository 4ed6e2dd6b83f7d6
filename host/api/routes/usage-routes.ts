// What a container uses and runs: stats, top.
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerStats } from '../../backend.ts';
import { checkAble } from '../../engine/abilities.ts';
import { type Container, runningProcess } from '../../engine/container.ts';
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import { type Call, flag, type Route, sendJson } from '../http.ts';
import { idleStatsJson, statsJson } from '../json/stats-json.ts';

const INTERVAL_MS = 1000;

export function usageRoutes(engine: Engine): Route[] {
  /** Undefined where it does not run. */
  const read = async ({ record, running, backend }: Container): Promise<ContainerStats | undefined> =>
    running === undefined
      ? undefined
      : backend.stats(record.id, record.config.host.cgroupParent, record.state.pid).catch((error: unknown) => {
          if (error instanceof GantryError && error.code === 'INVALID_STATE') return undefined; // It has just ended.
          throw error;
        });
  const json = (container: Container, now: ContainerStats | undefined, before?: ContainerStats): object =>
    now === undefined ? idleStatsJson(container) : statsJson(container, now, before);

  const stats = async (call: Call): Promise<void> => {
    const container = engine.find(call.params.id!);
    const gone = new AbortController();
    call.response.once('close', () => gone.abort());
    const wait = (): Promise<void> => delay(INTERVAL_MS, undefined, { signal: gone.signal }).catch(() => {});
    let before = await read(container);
    if (call.query.get('stream') !== null && !flag(call, 'stream')) {
      if (before === undefined || flag(call, 'one-shot')) return sendJson(call, json(container, before));
      await wait();
      return sendJson(call, json(container, await read(container), before));
    }
    if (flag(call, 'one-shot')) throw new GantryError('INVALID_ARGUMENT', 'Cannot have stream=true and one-shot=true');
    call.response.writeHead(200, { 'content-type': 'application/json' });
    // The first at once, with nothing to compare it with.
    call.response.write(`${JSON.stringify(json(container, before))}\n`);
    for (;;) {
      await wait();
      if (gone.signal.aborted || container.removed) break;
      const now = await read(container);
      call.response.write(`${JSON.stringify(json(container, now, before))}\n`);
      before = now;
    }
    call.response.end();
  };

  const top = async (call: Call): Promise<void> => {
    const container = engine.find(call.params.id!);
    const { id, config } = container.record;
    const options = call.query.get('ps_args') || '-ef';
    checkOptions(options);
    runningProcess(container);
    checkAble(container, 'processes');
    const { titles, rows } = await container.backend
      .processTable(id, config.host.cgroupParent, options.split(' '))
      .catch((error: unknown) => {
        // It ended in the meantime, and its cgroup with it.
        engine.find(id);
        runningProcess(container);
        throw error;
      });
    engine.announce(container, 'top');
    sendJson(call, { Titles: titles, Processes: rows });
  };

  return [
    { method: 'GET', path: '/containers/:id/stats', handler: stats },
    { method: 'GET', path: '/containers/:id/top', handler: top },
  ];
}

/** Another column that is called PID would hide whose process a row is. */
function checkOptions(options: string): void {
  for (const [, column, title] of options.matchAll(/\s+(\S*)=\s*(PID\S*)/g))
    if (column !== 'pid') throw new GantryError('INVALID_ARGUMENT', `Specifying "${column}=${title}" is not allowed`);
}
