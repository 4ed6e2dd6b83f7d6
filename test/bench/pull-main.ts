// `npm run bench:pull [-- --json] [-- --quick]`: images from a registry, beside docker and podman, all in one network namespace.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { startRegistry } from '../helpers/registry.ts';
import { preparePodman } from './commands.ts';
import { startDocker } from './docker.ts';
import { benchPull, prepareImages } from './pull.ts';
import { createReport } from './report.ts';

const report = createReport(process.argv);
const storage = await prepareImages(report.say);

// The registry is on a loopback that dockerd shares, and its rules are not the host's.
if (process.env.GANTRY_BENCH_INSIDE === undefined) {
  const words = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const unified = '/sys/fs/cgroup/unified';
  const script = `${existsSync(unified) ? `umount ${unified};` : ''} ip link set lo up; exec "$@"`;
  const env = { ...process.env, GANTRY_BENCH_INSIDE: '1' };
  const { status } = spawnSync('unshare', ['-m', '-n', 'sh', '-c', script, 'sh', ...words], { stdio: 'inherit', env });
  process.exit(status ?? 1);
}

// On the disk that images lie on, not in a /tmp that may be memory.
const [dataRoot, podmanRoot] = ['gantry', 'podman'].map((name) => mkdtempSync(join(storage, '..', `${name}-`)));
const tree = busyboxTree();
const archive = makeArchive(tree, 'box:latest');
const registry = await startRegistry({ storage, readonly: true });
const docker = await startDocker(archive, report.say, { ownNetwork: false });
const lock = join(dataRoot!, 'engine.lock');
try {
  const podman = preparePodman(podmanRoot!, archive, report.say);
  await benchPull(report, registry, {
    env: { ...process.env, GANTRY_DATA_ROOT: dataRoot },
    docker: docker?.host,
    podman,
  });
} finally {
  await docker?.close();
  await registry.close();
  if (existsSync(lock)) process.kill((JSON.parse(readFileSync(lock, 'utf8')) as { pid: number }).pid, 'SIGTERM');
  while (existsSync(lock)) await new Promise((resolve) => setTimeout(resolve, 20));
  for (const path of [dataRoot!, podmanRoot!, tree, archive]) rmSync(path, { recursive: true, force: true });
}
report.print();
process.exit(0);
