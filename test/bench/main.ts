// `npm run bench [-- --json] [-- --quick] [-- --api]`: gantry beside its peers, interleaved in one run, medians and ratios.
import { execFileSync, spawnSync } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as gantry from '../../host/index.ts';
import { enginePaths } from '../../host/paths.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { benchApi } from './api.ts';
import { benchBuild } from './build.ts';
import { prepareBundle } from './bundle.ts';
import { benchCommands, preparePodman } from './commands.ts';
import { benchDensity } from './density.ts';
import { startDocker } from './docker.ts';
import { benchPlanning } from './planning.ts';
import { createReport } from './report.ts';
import { benchStarts } from './starts.ts';

// crun refuses a hybrid host: everything runs in a mount namespace of its own without the v2 tree.
const unified = '/sys/fs/cgroup/unified';
if (existsSync(unified) && process.env.GANTRY_BENCH_INSIDE === undefined) {
  const words = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const script = `umount ${unified}; exec "$@"`;
  const env = { ...process.env, GANTRY_BENCH_INSIDE: '1' };
  const { status } = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', ...words], { stdio: 'inherit', env });
  process.exit(status ?? 1);
}

const report = createReport(process.argv);
const dataRoot = mkdtempSync(join(tmpdir(), 'gantry-bench-'));
const podmanRoot = mkdtempSync(join(tmpdir(), 'gantry-bench-podman-'));
const tree = busyboxTree();
const archive = makeArchive(tree, 'box:latest');
const crun = existsSync('/usr/bin/crun') ? prepareBundle(tree) : undefined;
if (crun === undefined) report.say('crun is not installed: its ratios are left out');

// The SDK as a program would use it: what `npm run build` made.
const onlyApi = process.argv.includes('--api');
const { open } = (await import(join(import.meta.dirname, '../../dist/index.js'))) as typeof gantry;
const engine = await open({ dataRoot });
await engine.images.load(createReadStream(archive));
if (!onlyApi) {
  await benchStarts(report, engine, crun);
  await benchDensity(report, engine);
}
await engine.close();
crun?.close();
if (!onlyApi) benchPlanning(report);

const lock = join(dataRoot, 'engine.lock');
const enginePid = (): number => Number(JSON.parse(readFileSync(lock, 'utf8')).pid);
const docker = await startDocker(archive, report.say);
try {
  const env = { ...process.env, GANTRY_DATA_ROOT: dataRoot };
  const program = join(import.meta.dirname, '../../dist/cli/main.js');
  if (onlyApi) execFileSync(process.execPath, [program, 'info'], { env, stdio: 'ignore' });
  else
    await benchCommands(report, env, { docker: docker?.host, podman: preparePodman(podmanRoot, archive, report.say) });
  if (!onlyApi) await benchBuild(report, { gantry: `unix://${enginePaths(dataRoot).socket}`, docker: docker?.host });
  await benchApi(report, { gantry: enginePaths(dataRoot).socket, docker: docker?.socket, pid: enginePid() });
} finally {
  await docker?.close();
  if (existsSync(lock)) process.kill(enginePid(), 'SIGTERM');
  while (existsSync(lock)) await new Promise((resolve) => setTimeout(resolve, 20));
  for (const path of [dataRoot, podmanRoot, tree, archive]) rmSync(path, { recursive: true, force: true });
}
report.print();
process.exit(0);
