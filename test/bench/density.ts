// Many containers at once: what each supervisor takes, and whether the last starts as fast as the first.
import { readFileSync } from 'node:fs';
import type { Engine } from '../../host/engine/engine.ts';
import { containerInput } from './input.ts';
import { median } from './measure.ts';
import type { Report } from './report.ts';

const CONTAINERS = 200;
/** The first and the last so many starts are compared. */
const SAMPLE = 25;

export async function benchDensity(report: Report, engine: Engine): Promise<void> {
  const input = containerInput('none');
  const containers = [];
  const times: number[] = [];
  for (let index = 0; index < CONTAINERS; index++) {
    const container = await engine.create(undefined, { ...input, command: ['sleep', '1000'] });
    const before = performance.now();
    await engine.start(container);
    times.push(performance.now() - before);
    containers.push(container);
  }
  const first = median(times.slice(0, SAMPLE));
  report.record(`start of the ${CONTAINERS}th running container`, 'ms', median(times.slice(-SAMPLE)), {
    name: 'the first',
    value: first,
  });
  const supervisors = containers.map(({ record }) => proportional(parentOf(record.state.pid)));
  report.record('memory of a supervisor (PSS)', 'KiB', median(supervisors));
  await Promise.all(containers.map((container) => engine.remove(container, { force: true, volumes: false })));
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** Proportional set size, KiB: proc_pid_smaps_rollup(5). */
function proportional(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);
}
