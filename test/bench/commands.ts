// Whole commands, as a user's shell starts them: gantry's beside docker's, podman's, and Node's own start.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { interleave, median } from './measure.ts';
import type { Report } from './report.ts';

const cli = join(import.meta.dirname, '../../dist/cli/main.js');

export interface Peers {
  /** DOCKER_HOST of a dockerd with the image. */
  docker: string | undefined;
  /** A directory for podman's storage with the image in it. */
  podman: string | undefined;
}

/** A peer that hangs (dockerd 20.10 loses an exit now and then) does not hold the others up. */
const HANGS_MS = 20_000;

/** Milliseconds; NaN where it hangs. */
export function wall(command: string, args: string[], env: NodeJS.ProcessEnv): number {
  const before = performance.now();
  const { status, stderr, error } = spawnSync(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
    timeout: HANGS_MS,
    killSignal: 'SIGKILL',
  });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT') return Number.NaN;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${status}: ${stderr}`);
  return performance.now() - before;
}

/** Podman's own defaults are above what a machine without CAP_SYS_RESOURCE may set. */
export const podmanLimits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1000:1000'];

export const podmanStorage = (directory: string): string[] => ['--root', directory, '--runroot', `${directory}/run`];

/** Loads the image into a podman storage of its own. @returns undefined where podman is missing; why is said. */
export function preparePodman(directory: string, archive: string, say: (text: string) => void): string | undefined {
  if (!existsSync('/usr/bin/podman')) {
    say('podman is not installed: its ratios are left out');
    return undefined;
  }
  const { status, stderr } = spawnSync('podman', [...podmanStorage(directory), 'load', '-q', '-i', archive], {
    encoding: 'utf8',
  });
  if (status === 0) return directory;
  say(`podman cannot load the image: its ratios are left out\n${stderr}`);
  return undefined;
}

export async function benchCommands(report: Report, env: NodeJS.ProcessEnv, peers: Peers): Promise<void> {
  const rounds = report.quick ? 5 : 20;
  const gantry = async (...args: string[]): Promise<number> => wall(process.execPath, [cli, ...args], env);
  const node = async (): Promise<number> => wall(process.execPath, ['-e', '0'], env);
  await gantry('ps');
  const compare = async (name: string, args: string[], peerName: string, peer: () => Promise<number>) => {
    const [own = [], theirs = [], bare = []] = await interleave([() => gantry(...args), peer, node], rounds, 0);
    report.record(name, 'ms', median(own), { name: peerName, value: median(theirs) });
    report.record(`${name}, without Node's own start`, 'ms', median(own) - median(bare));
  };
  const { docker, podman } = peers;
  if (docker !== undefined)
    await compare('gantry run --rm', runArgs('bridge'), 'docker, bridge', async () =>
      wall('docker', runArgs('bridge'), { ...env, DOCKER_HOST: docker }),
    );
  if (podman !== undefined)
    await compare('gantry run --rm, beside podman', runArgs('none'), 'podman, none', async () =>
      wall('podman', [...podmanStorage(podman), ...runArgs('none', ...podmanLimits)], env),
    );
  if (docker === undefined && podman === undefined)
    await compare('gantry run --rm --network bridge', runArgs('bridge'), 'node -e 0', node);
}

function runArgs(network: string, ...more: string[]): string[] {
  return ['run', '--rm', '--network', network, ...more, 'box', 'true'];
}
