// `npm run bench:vm [-- --json] [-- --quick]`: starts in the virtual machine beside the best boot of its guest, and its memory.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findQemu } from '../../host/vm/find-qemu.ts';
import { prepareGuestFiles } from '../../host/vm/guest-files.ts';
import type { Architecture } from '../../host/vm/qemu-arguments.ts';
import { startMachine } from '../../host/vm/virtual-machine.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { guestImage } from '../vm/guest-image.ts';
import { median } from './measure.ts';
import { createReport } from './report.ts';

const architecture: Architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const MEMORY_MB = 2048;
const CPUS = 2;
const EATEN_MB = 500;
const BACK_MS = 10_000;

const report = createReport(process.argv);
const rounds = report.quick ? 1 : 5;
const dataRoot = mkdtempSync(join(tmpdir(), 'gantry-bench-vm-'));
const image = guestImage(architecture);
const env: NodeJS.ProcessEnv = {
  ...process.env,
  ...{ GANTRY_DATA_ROOT: dataRoot, GANTRY_BACKEND: 'vm', GANTRY_VM_IMAGE: image },
  ...{ GANTRY_VM_ACCELERATOR: 'tcg', GANTRY_VM_MEMORY: `${MEMORY_MB}m`, GANTRY_VM_CPUS: String(CPUS) },
};
const program = join(import.meta.dirname, '../../dist/cli/main.js');
const lock = join(dataRoot, 'engine.lock');

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function start(...words: string[]): ChildProcess {
  return spawn(process.execPath, [program, ...words], { env, stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Milliseconds to the first byte that a container says. */
async function firstOutput(): Promise<number> {
  const before = performance.now();
  const child = start('run', '--rm', 'box', 'echo', 'here');
  const found = await new Promise<number>((resolve) => {
    child.stdout!.once('data', () => resolve(performance.now() - before));
    child.once('exit', () => resolve(Number.NaN));
  });
  if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
  return found;
}

async function endEngine(): Promise<void> {
  if (existsSync(lock)) process.kill((JSON.parse(readFileSync(lock, 'utf8')) as { pid: number }).pid, 'SIGTERM');
  while (existsSync(lock)) await sleep(10);
}

function forgetSnapshot(): void {
  const parent = join(dataRoot, 'vm');
  for (const name of readdirSync(parent))
    if (name.startsWith('snapshot-')) rmSync(join(parent, name), { recursive: true });
}

/** Milliseconds from nothing to the first word of a guest that boots. */
async function boot(): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-boot-'));
  try {
    const files = prepareGuestFiles(image, join(dataRoot, 'floor'), architecture);
    const { path } = await findQemu(architecture, process.platform);
    const ports = { port: { socket: join(directory, 'port') }, sharesPort: { socket: join(directory, 'shares') } };
    const paths = { console: join(directory, 'console.log'), ...ports };
    const size = { memoryMb: MEMORY_MB, cpus: CPUS };
    const spec = { host: process.platform, architecture, accelerator: 'tcg' as const, ...size, ...files, ...paths };
    const before = performance.now();
    const machine = await startMachine(path, spec, { log: join(directory, 'qemu.log'), deadlineMs: 120_000 });
    const found = performance.now() - before;
    await machine.kill();
    return found;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function residentMb(): number {
  const { pid } = JSON.parse(readFileSync(join(dataRoot, 'run/vm/machine.json'), 'utf8')) as { pid: number };
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1024;
}

const tree = busyboxTree();
const archive = makeArchive(tree, 'box:latest');
try {
  const { status, stderr } = spawnSync(process.execPath, [program, 'load', '-i', archive], { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const first = await firstOutput();
  const [boots, cold, resumed, warm]: number[][] = [[], [], [], []];
  for (let round = 0; round < rounds; round++) {
    await endEngine();
    boots!.push(await boot());
    forgetSnapshot();
    cold!.push(await firstOutput());
    await endEngine();
    resumed!.push(await firstOutput());
    for (let again = 0; again < 3; again++) warm!.push(await firstOutput());
  }
  const floor = { name: 'best boot to the first word', value: Math.min(...boots!) };
  report.record('run, guest image not yet unpacked', 'ms', first, floor);
  report.record('run, no snapshot', 'ms', median(cold!), floor);
  report.record('run, resumed', 'ms', median(resumed!), floor);
  report.record('run, machine there', 'ms', median(warm!), floor);

  await sleep(BACK_MS);
  report.record('QEMU at rest, resumed and used', 'MB', residentMb());
  const eat = `mount -t tmpfs none /mnt && dd if=/dev/zero of=/mnt/file bs=1M count=${EATEN_MB} && echo eaten && sleep 2`;
  const eater = start('run', '--rm', '--privileged', 'box', 'sh', '-c', `mkdir -p /mnt; ${eat}`);
  await new Promise((resolve) => eater.stdout!.once('data', resolve));
  const most = residentMb();
  await new Promise((resolve) => eater.once('exit', resolve));
  await sleep(BACK_MS);
  report.record(`QEMU while ${EATEN_MB} MB are used`, 'MB', most);
  report.record(`QEMU ${BACK_MS / 1000} s after they were freed`, 'MB', residentMb());
} finally {
  await endEngine();
  for (const path of [dataRoot, tree, archive]) rmSync(path, { recursive: true, force: true });
}
report.print();
