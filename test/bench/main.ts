// `npm run bench [-- --json]`: gantry beside its peers, interleaved in one run, medians and ratios.
import { execFileSync, spawnSync } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as gantry from '../../host/index.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { prepareBundle } from './bundle.ts';
import { interleave, median } from './measure.ts';
import { containerInput } from './input.ts';

export interface Result {
  gantry: number;
  peer?: number;
  /** gantry divided by peer: below 1 gantry is faster (or smaller). */
  ratio?: number;
  unit: string;
  peerName?: string;
}

// crun refuses a hybrid host: everything runs in a mount namespace of its own without the v2 tree.
const unified = '/sys/fs/cgroup/unified';
if (existsSync(unified) && process.env.GANTRY_BENCH_INSIDE === undefined) {
  const words = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const script = `umount ${unified}; exec "$@"`;
  const env = { ...process.env, GANTRY_BENCH_INSIDE: '1' };
  const { status } = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', ...words], { stdio: 'inherit', env });
  process.exit(status ?? 1);
}

const json = process.argv.includes('--json');
const quick = process.argv.includes('--quick');
const rounds = quick ? 15 : 60;
const results: Record<string, Result> = {};
const say = (text: string): void => {
  if (!json) console.log(text);
};

function record(name: string, gantry: number, unit: string, peer?: number, peerName?: string): void {
  const round = (value: number): number => Number(value.toPrecision(4));
  const ratio = peer === undefined ? undefined : round(gantry / peer);
  results[name] = {
    gantry: round(gantry),
    ...(peer === undefined ? {} : { peer: round(peer), ratio: ratio!, peerName: peerName! }),
    unit,
  };
  say(
    `${name.padEnd(44)}${round(gantry).toString().padStart(9)} ${unit.padEnd(9)}${peer === undefined ? '' : `${peerName} ${round(peer)} ${unit}, ratio ${ratio}`}`,
  );
}

const dataRoot = mkdtempSync(join(tmpdir(), 'gantry-bench-'));
const tree = busyboxTree();
const archive = makeArchive(tree, 'box:latest');
const { open } = (await import(join(import.meta.dirname, '../../dist/index.js'))) as typeof gantry;
const engine = await open({ dataRoot });
await engine.images.load(createReadStream(archive));
const crun = existsSync('/usr/bin/crun') ? prepareBundle(tree) : undefined;
if (crun === undefined) say('crun is not installed: its ratios are left out');

/** Start to known exit of a container that was created before. */
async function startToExit(networkMode: string): Promise<number> {
  const container = await engine.create(undefined, containerInput(networkMode));
  const exit = container.wait('next-exit');
  const removed = container.wait('removed');
  const before = performance.now();
  await engine.start(container);
  const status = await exit;
  const passed = performance.now() - before;
  if (status !== 0) throw new Error(`status ${status}`);
  await removed;
  return passed;
}

const peer = (): number => crun?.run() ?? Number.NaN;
for (let warm = 0; warm < 8; warm++) {
  await startToExit('none');
  peer();
}
for (const [name, network, idleMs] of [
  ['start to exit, warm', 'none', 0],
  ['start to exit, 100 ms idle before', 'none', 100],
  ['start to exit, bridge, warm', 'bridge', 0],
] as const) {
  const [own, theirs] = await interleave([() => startToExit(network), async () => peer()], rounds, idleMs);
  record(name, median(own!), 'ms', crun === undefined ? undefined : median(theirs!), 'crun');
}

const IN_FLIGHT = 8;
const total = quick ? 80 : 400;
let left = total;
const began = performance.now();
await Promise.all(
  Array.from({ length: IN_FLIGHT }, async () => {
    while (left-- > 0) await startToExit('none');
  }),
);
record('starts, 8 in flight', total / ((performance.now() - began) / 1000), '1/s');

const { planContainer } = await import('../../host/core/plans.ts');
const { hostFacts, planRequest } = await import('../helpers/plan-requests.ts');
const request = planRequest(hostFacts('v1', 'x86_64'));
const plans = Array.from({ length: 200 }, () => {
  const before = performance.now();
  planContainer(request);
  return performance.now() - before;
});
record('a plan, linted', median(plans.slice(50)), 'ms');

const cli = join(import.meta.dirname, '../../dist/cli/main.js');
const wall = (command: string, args: string[], env: NodeJS.ProcessEnv = process.env): number => {
  const before = performance.now();
  const { status } = spawnSync(command, args, { stdio: 'ignore', env });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${status}`);
  return performance.now() - before;
};
await engine.close();
const env = { ...process.env, GANTRY_DATA_ROOT: dataRoot };
wall(process.execPath, [cli, 'ps'], env);
const [command, node] = await interleave(
  [
    async () => wall(process.execPath, [cli, 'run', '--rm', 'box', 'true'], env),
    async () => wall(process.execPath, ['-e', '0']),
  ],
  quick ? 5 : 20,
  0,
);
record('gantry run --rm box true', median(command!), 'ms', median(node!), 'node -e 0');

const pid = Number(JSON.parse(execFileSync('cat', [join(dataRoot, 'engine.lock')], { encoding: 'utf8' })).pid);
process.kill(pid, 'SIGTERM');
while (existsSync(join(dataRoot, 'engine.lock'))) await new Promise((resolve) => setTimeout(resolve, 20));
crun?.close();
for (const path of [dataRoot, tree, archive]) rmSync(path, { recursive: true, force: true });
if (json) console.log(JSON.stringify(results));
