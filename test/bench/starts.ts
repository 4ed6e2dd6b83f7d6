// Starts through the engine in this process, beside crun: back to back, after idleness, on the bridge, several in flight.
import type { Engine } from '../../host/engine/engine.ts';
import type { PortBinding } from '../../host/types.ts';
import type { Bundle } from './bundle.ts';
import { containerInput } from './input.ts';
import { interleave, median } from './measure.ts';
import type { Report } from './report.ts';

const IN_FLIGHT = 8;
const port: PortBinding = { containerPort: 80, protocol: 'tcp', hostIp: '127.0.0.1', hostPort: 0 };

export async function benchStarts(report: Report, engine: Engine, crun: Bundle | undefined): Promise<void> {
  /** Milliseconds from the start of a container that was created before until its exit is known. */
  const startToExit = async (networkMode: string, ports: PortBinding[] = []): Promise<number> => {
    const input = containerInput(networkMode);
    const container = await engine.create(undefined, { ...input, host: { ...input.host, ports } });
    const exit = container.wait('next-exit');
    const before = performance.now();
    await engine.start(container);
    const status = await exit;
    const passed = performance.now() - before;
    if (status !== 0) throw new Error(`status ${status}`);
    await container.settled;
    return passed;
  };
  const peer = async (): Promise<number> => crun?.run() ?? Number.NaN;
  const rounds = report.quick ? 15 : 100;
  for (let warm = 0; warm < 10; warm++) {
    await startToExit('none');
    await startToExit('bridge');
    await peer();
  }
  for (const [name, network, ports, idleMs] of [
    ['start to exit', 'none', [], 0],
    ['start to exit, 100 ms idle before', 'none', [], 100],
    ['start to exit, bridge', 'bridge', [], 0],
    ['start to exit, bridge and a published port', 'bridge', [port], 0],
    ['start to exit, bridge, 100 ms idle before', 'bridge', [], 100],
  ] as const) {
    const [own = [], theirs = []] = await interleave(
      [() => startToExit(network, [...ports]), peer],
      idleMs > 0 ? rounds / 2 : rounds,
      idleMs,
    );
    report.record(
      name,
      'ms',
      median(own),
      crun === undefined ? undefined : { name: 'crun, no network', value: median(theirs) },
    );
  }

  const [bare = [], connected = []] = await interleave(
    [() => startToExit('none'), () => startToExit('bridge', [port])],
    rounds / 2,
    100,
  );
  report.record('added by bridge and a published port, 100 ms idle', 'ms', median(connected) - median(bare));

  const total = report.quick ? 80 : 600;
  const rates: number[] = [];
  for (let block = 0; block < (report.quick ? 1 : 3); block++) {
    let left = total;
    const began = performance.now();
    await Promise.all(
      Array.from({ length: IN_FLIGHT }, async () => {
        while (left-- > 0) await startToExit('none');
      }),
    );
    rates.push(total / ((performance.now() - began) / 1000));
  }
  report.record('created, started, ended, removed; 8 in flight', '1/s', median(rates), await crunRate(report, crun));
}

async function crunRate(
  report: Report,
  crun: Bundle | undefined,
): Promise<{ name: string; value: number } | undefined> {
  if (crun === undefined) return undefined;
  return { name: 'crun', value: crun.rate(report.quick ? 80 : 400, IN_FLIGHT) };
}
