// The planning core: its load, a whole plan, its size.
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { planContainer } from '../../host/core/plans.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';
import { median } from './measure.ts';
import type { Report } from './report.ts';

const wasm = join(import.meta.dirname, '../../dist/core.wasm');

export function benchPlanning(report: Report): void {
  /** Equal containers are planned once: what differs in its environment is planned whole. */
  const plan = (change: (turn: number) => string): number => {
    const times = Array.from({ length: 400 }, (_, turn) => {
      const request = planRequest(hostFacts('v1', 'x86_64'), ({ container }) => {
        container.env = [`TURN=${change(turn)}`];
      });
      const before = performance.now();
      void planContainer(request).setup; // Copied when it is asked for.
      return performance.now() - before;
    });
    return median(times.slice(100));
  };
  report.record('a plan, linted', 'ms', plan(String));
  report.record(
    'the plan of an equal container',
    'ms',
    plan(() => 'same'),
  );
  // In a fresh process each: a second compilation in one would come from a cache.
  const script = `const bytes = fs.readFileSync(process.argv[1]); const t = performance.now();
    new WebAssembly.Instance(new WebAssembly.Module(bytes)); console.log(performance.now() - t)`;
  const loads = Array.from({ length: report.quick ? 5 : 15 }, () =>
    Number(execFileSync(process.execPath, ['-e', script, wasm], { encoding: 'utf8' })),
  );
  report.record('load of the core', 'ms', median(loads));
  report.record('size of the core', 'KB', statSync(wasm).size / 1000);
}
