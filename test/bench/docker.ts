// dockerd as a peer: started by hand in a network namespace of its own, with its own directories, ended by its pid.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Docker {
  /** For DOCKER_HOST. */
  host: string;
  socket: string;
  /** Of the containerd that it has started. */
  containerd: string;
  close(): Promise<void>;
}

const READY_MS = 30_000;
const CGROUPS = '/sys/fs/cgroup';
const CGROUP = 'gantry-bench-docker';

function removeCgroup(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // This hierarchy has none.
  }
}

/**
 * @param ownNetwork in a network namespace of its own; else where the caller is, which must be none of the host's.
 * @param inMemory its data lies in /dev/shm: nothing waits for a disk where only the outcome counts.
 * @returns undefined where it is not installed or does not start; why is said. */
export async function startDocker(
  archive: string,
  say: (text: string) => void,
  {
    ownNetwork = true,
    inMemory = false,
    more = [],
  }: { ownNetwork?: boolean; inMemory?: boolean; more?: string[] } = {},
): Promise<Docker | undefined> {
  if (!existsSync('/usr/sbin/dockerd')) {
    say('dockerd is not installed (Debian: docker.io): its ratios are left out');
    return undefined;
  }
  const directory = mkdtempSync(join(inMemory ? '/dev/shm' : tmpdir(), 'gantry-docker-'));
  const socket = join(directory, 'docker.sock');
  const host = `unix://${socket}`;
  const pidFile = join(directory, 'docker.pid');
  const options = [
    ...['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec'), '--pidfile', pidFile],
    ...['--host', host, '--storage-driver', 'overlay2', '--cgroup-parent', `/${CGROUP}`, ...more],
  ];
  const words = ['sh', '-c', 'ip link set lo up; exec dockerd "$@"', 'sh', ...options];
  const [program = '', ...rest] = [...(ownNetwork ? ['unshare', '-n'] : []), ...words];
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint = (complaint + chunk).slice(-2000);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const close = async (): Promise<void> => {
    if (existsSync(pidFile)) process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGTERM');
    else child.kill('SIGTERM');
    await ended;
    for (const hierarchy of readdirSync(CGROUPS)) removeCgroup(join(CGROUPS, hierarchy, CGROUP));
    rmSync(directory, { recursive: true, force: true });
  };
  const env = { ...process.env, DOCKER_HOST: host };
  const deadline = Date.now() + READY_MS;
  while (spawnSync('docker', ['info'], { env, stdio: 'ignore' }).status !== 0) {
    if (Date.now() > deadline || child.exitCode !== null) {
      say(`dockerd does not start: its ratios are left out\n${complaint}`);
      await close();
      return undefined;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  execFileSync('docker', ['load', '-q', '-i', archive], { env, stdio: 'ignore' });
  return { host, socket, containerd: join(directory, 'exec/containerd/containerd.sock'), close };
}
