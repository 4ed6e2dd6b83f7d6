// From a loopback registry to the first run, beside docker and podman: gzip, zstd, many small files, shared layers, removal.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { busyboxTree } from '../helpers/archives.ts';
import { cacheDirectory } from '../helpers/cache.ts';
import { bootstrap, treeTar } from '../helpers/debian-layers.ts';
import { createLayout } from '../helpers/oci-layout.ts';
import { startRegistry, type TestRegistry } from '../helpers/registry.ts';
import { podmanLimits, podmanStorage, wall } from './commands.ts';
import { interleave, median } from './measure.ts';
import type { Report } from './report.ts';

/** With a compiler the layer has a usual size: 137 MB as gzip, 9,300 entries. */
const DEBIAN_PACKAGES = ['gcc', 'libc6-dev'];
const SMALL_FILES = 20_000;
const LAYERS = 10;
const LAYER_BYTES = 3 << 20;
const cli = join(import.meta.dirname, '../../dist/cli/main.js');
const PATH = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin';

/** "debian", "zstd", "small", "ten:1" and "ten:2", made once and kept. */
async function fill(storage: string): Promise<void> {
  const work = mkdtempSync(`${storage}-making-`);
  try {
    const layout = createLayout(join(work, 'layout'));
    const debian = join(work, 'debian');
    await bootstrap(debian, DEBIAN_PACKAGES);
    const add = async (tag: string, tree: string, compression: 'gzip' | 'zstd'): Promise<void> => {
      const layer = await layout.addLayer(await treeTar(tree, join(work, `${tag}.tar`)), compression);
      layout.addImage(tag, { config: { Cmd: ['true'], Env: [PATH] }, layers: [layer] });
    };
    await add('debian', debian, 'gzip');
    await add('zstd', debian, 'zstd');
    const tree = busyboxTree();
    const base = await layout.addLayer(await treeTar(tree, join(work, 'base.tar')), 'gzip');
    for (let index = 0; index < SMALL_FILES; index++) {
      const directory = join(tree, 'srv', String(index % 200));
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, String(index)), `${index}\n`.repeat(40));
    }
    await add('small', tree, 'gzip');
    rmSync(tree, { recursive: true });
    const part = async (name: string): Promise<Awaited<ReturnType<typeof layout.addLayer>>> => {
      const own = join(work, name);
      mkdirSync(own);
      writeFileSync(join(own, name), randomBytes(LAYER_BYTES));
      return layout.addLayer(await treeTar(own, join(work, `${name}.tar`)), 'gzip');
    };
    const shared = [base];
    while (shared.length < LAYERS - 1) shared.push(await part(`part-${shared.length}`));
    for (const last of ['1', '2'])
      layout.addImage(`ten-${last}`, {
        config: { Cmd: ['true'], Env: [PATH] },
        layers: [...shared, await part(`last-${last}`)],
      });
    const registry = await startRegistry({ storage: join(work, 'registry') });
    for (const tag of ['debian', 'zstd', 'small', 'ten-1', 'ten-2']) {
      const words = [
        'copy',
        '--insecure-policy',
        '--quiet',
        '--dest-tls-verify=false',
        `oci:${layout.directory}:${tag}`,
      ];
      const { status, stderr } = spawnSync('skopeo', [...words, `docker://${registry.host}/${tag}:1`], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`skopeo cannot copy ${tag}: ${stderr}`);
    }
    await registry.close();
    renameSync(join(work, 'registry'), storage);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** To be called where Debian can be reached; afterwards nothing of the network is needed. */
export async function prepareImages(say: (text: string) => void): Promise<string> {
  const storage = cacheDirectory('bench', 'pull-2');
  if (existsSync(storage)) return storage;
  mkdirSync(join(storage, '..'), { recursive: true });
  say('Making the images (once, about two minutes)');
  await fill(storage);
  return storage;
}

/** What one runner does with a reference; milliseconds. */
interface Puller {
  name: string;
  pull(reference: string): number;
  run(reference: string): number;
  remove(reference: string): number;
}

export interface PullPeers {
  env: NodeJS.ProcessEnv;
  /** DOCKER_HOST of a dockerd that reaches the registry. */
  docker: string | undefined;
  /** A directory for podman's storage. */
  podman: string | undefined;
}

function pullers({ env, docker, podman }: PullPeers): { gantry: Puller; docker?: Puller; podman?: Puller } {
  const run = ['run', '--rm', '--network', 'none'];
  const gantry = (...args: string[]): number => wall(process.execPath, [cli, ...args], env);
  const own: Puller = {
    name: 'gantry',
    pull: (reference) => gantry('pull', '-q', reference),
    run: (reference) => gantry(...run, reference, 'true'),
    remove: (reference) => gantry('rmi', reference),
  };
  const asDocker = (...args: string[]): number => wall('docker', args, { ...env, DOCKER_HOST: docker! });
  const asPodman = (...args: string[]): number => wall('podman', [...podmanStorage(podman!), ...args], env);
  return {
    gantry: own,
    ...(docker
      ? {
          docker: {
            name: 'docker',
            pull: (reference) => asDocker('pull', '-q', reference),
            run: (reference) => asDocker(...run, reference, 'true'),
            remove: (reference) => asDocker('rmi', reference),
          },
        }
      : {}),
    ...(podman
      ? {
          podman: {
            name: 'podman',
            pull: (reference) => asPodman('pull', '-q', '--tls-verify=false', reference),
            run: (reference) => asPodman(...run, ...podmanLimits, reference, 'true'),
            remove: (reference) => asPodman('rmi', reference),
          },
        }
      : {}),
  };
}

export async function benchPull(report: Report, registry: TestRegistry, peers: PullPeers): Promise<void> {
  const { gantry, docker, podman } = pullers(peers);
  const rounds = report.quick ? 1 : 5;
  const name = (image: string): string => `${registry.host}/${image}:1`;

  /** Pull and first run, then the removal; each runner in turn, so that all find the machine alike. */
  const compare = async (what: string, image: string, others: (Puller | undefined)[]): Promise<void> => {
    const all = [gantry, ...others.filter((one) => one !== undefined)];
    const removals = all.map((): number[] => []);
    const measures = all.map((one, index) => async (): Promise<number> => {
      const time = one.pull(name(image)) + one.run(name(image));
      removals[index]!.push(one.remove(name(image)));
      return time;
    });
    const times: number[][] = all.map(() => []);
    for (let round = 0; round < rounds; round++)
      for (const [index, [time = Number.NaN] = []] of (await interleave(measures, 1, 1)).entries())
        times[index]!.push(time);
    for (const [index, { name }] of all.entries()) {
      if (index === 0) continue;
      report.record(`${what}: pull and first run`, 'ms', median(times[0]!), { name, value: median(times[index]!) });
      report.record(`${what}: rmi`, 'ms', median(removals[0]!), { name, value: median(removals[index]!) });
    }
    if (all.length === 1) report.record(`${what}: pull and first run`, 'ms', median(times[0]!));
  };
  await compare('Debian, gzip', 'debian', [docker, podman]);
  await compare('Debian, zstd', 'zstd', [podman]);
  await compare(`${SMALL_FILES} small files`, 'small', [docker, podman]);

  // The second image shares nine of ten layers with one that is here.
  const all = [gantry, docker, podman].filter((one) => one !== undefined);
  for (const one of all) one.pull(name('ten-1'));
  const second = all.map((one) => async (): Promise<number> => {
    const time = one.pull(name('ten-2'));
    one.remove(name('ten-2'));
    return time;
  });
  const times = await interleave(second, rounds, 1);
  for (const [index, { name }] of all.entries())
    if (index > 0)
      report.record('second image of ten layers', 'ms', median(times[0]!), { name, value: median(times[index]!) });
  for (const one of all) one.remove(name('ten-1'));
}
