// A guest of the tests: boots QEMU with a Debian kernel, the executor and a static busybox; nothing of it outlives the test.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileStatic } from '../../scripts/compile-static.ts';
import { type Channel, createChannel } from './channel.ts';
import { type Architecture, guestPackages } from './debian.ts';
import { type InitramfsEntry, initramfs } from '../../vm-images/initramfs.ts';

export interface Guest extends Channel {
  architecture: Architecture;
  /** For the sockets of the host's side. */
  directory: string;
  /** Output of a script that must succeed, without the last newline. */
  ok(script: string): Promise<string>;
}

const dist = join(import.meta.dirname, '../../dist');
const BOOT_TIMEOUT_MS = 120_000;
const DISK_BYTES = 64 * 1024 ** 2;

const applets =
  'sh cat chmod cmp cp cut dd df echo env false find grep head hostname id ip kill ls mkdir mknod mount nproc ps readlink rm rmdir sed seq sleep sort stat stty sync tail test timeout touch tr true tty umount uname wc wget yes';

/** By architecture: no accelerator, so that every machine can do it. */
const machines: Record<Architecture, { program: string; args: string[]; console: string }> = {
  x86_64: { program: 'qemu-system-x86_64', args: ['-machine', 'q35', '-cpu', 'max'], console: 'ttyS0' },
  // "max" has pointer authentication, which costs the interpreter seconds.
  aarch64: { program: 'qemu-system-aarch64', args: ['-machine', 'virt', '-cpu', 'cortex-a72'], console: 'ttyAMA0' },
};

const kernelArguments =
  'quiet loglevel=3 panic=-1 cryptomgr.notests no_timer_check tsc=reliable random.trust_cpu=on noreplace-smp';

/** Empty where the guest can be started; the reason is printed. Downloads its packages on the first call. */
export function whyNoGuest(architecture: Architecture): string {
  const reason = missing(architecture);
  if (reason !== '') console.log(`Containers in a ${architecture} guest are not tested: ${reason}`);
  return reason;
}

function missing(architecture: Architecture): string {
  const { program } = machines[architecture];
  if (!(process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, program))))
    return `${program} is not installed`;
  if (!existsSync(join(dist, 'executor', `gantry-executor-${architecture}`)))
    return `the executor is not built for it (install gcc-${architecture}-linux-gnu and build again)`;
  try {
    guestPackages(architecture);
    return '';
  } catch (error) {
    return `no kernel from Debian's packages: ${(error as Error).message}`;
  }
}

/** What the guest holds at its start; /image is the root of the containers. */
function guestFiles(architecture: Architecture, directory: string): InitramfsEntry[] {
  const { modules, busybox } = guestPackages(architecture);
  for (const name of ['agent', 'probe']) compileStatic(name, [join(import.meta.dirname, `guest/${name}.c`)], directory);
  const program = (path: string, from: string): InitramfsEntry => ({ path, file: readFileSync(from) });
  const text = (path: string, content: string): InitramfsEntry => ({ path, file: Buffer.from(content) });
  const inModules = modules.map((path) => program(`modules/${path.replace(/^.*\//, '')}`, path));
  return [
    ...['empty', 'empty-mask', 'image/tmp'].map((path) => ({ path })),
    program('init', join(directory, `agent-${architecture}`)),
    program('bin/gantry-executor', join(dist, 'executor', `gantry-executor-${architecture}`)),
    program('image/bin/busybox', busybox),
    program('image/bin/probe', join(directory, `probe-${architecture}`)),
    ...applets.split(' ').flatMap((name) => [
      { path: `image/bin/${name}`, link: 'busybox' },
      { path: `bin/${name}`, link: '/image/bin/busybox' },
    ]),
    text('image/etc/layer', 'lower\n'),
    text('upper-image/etc/layer', 'upper\n'),
    ...['hosts', 'hostname', 'resolv.conf'].map((name) => text(`etc/${name}`, `${name}\n`)),
    ...inModules,
    text('modules/order', inModules.map(({ path }) => `${path.slice('modules/'.length)}\n`).join('')),
  ];
}

export interface GuestOptions {
  memoryMb?: number;
  /** What it holds besides, or in place of its own. */
  files?: InitramfsEntry[];
}

/** Boots and waits for the agent; the caller closes. */
export async function startGuest(
  architecture: Architecture,
  { memoryMb = 512, files = [] }: GuestOptions = {},
): Promise<Guest> {
  const directory = mkdtempSync(join(tmpdir(), `gantry-guest-${process.pid}-`));
  const path = (name: string): string => join(directory, name);
  writeFileSync(path('initramfs'), initramfs([...files, ...guestFiles(architecture, directory)]));
  writeFileSync(path('disk'), '');
  truncateSync(path('disk'), DISK_BYTES);
  const listener = createServer();
  await once(listener.listen(path('port')), 'listening');
  const connected = once(listener, 'connection');
  const child = spawnMachine(architecture, memoryMb, path);
  const end = endAtExit(child, directory);
  try {
    const [port] = (await beforeItEnds(connected, child, path)) as [Socket];
    const channel = createChannel(port);
    await beforeItEnds(channel.ready, child, path);
    return {
      ...channel,
      architecture,
      directory,
      async ok(script) {
        const { status, output } = await channel.run(script);
        if (status !== 0) throw new Error(`The guest's "${script}" ended with ${status}: ${output}`);
        return output.toString().replace(/\n$/, '');
      },
      async close() {
        await channel.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  } finally {
    listener.close();
  }
}

function spawnMachine(architecture: Architecture, memoryMb: number, path: (name: string) => string): ChildProcess {
  const { program, args, console: device } = machines[architecture];
  const { kernel } = guestPackages(architecture);
  // One thread for both CPUs: with one each, QEMU 7.2 now and then runs stale code of a program that compiles as it runs (Node).
  const fixed = ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-accel', 'tcg,thread=single'];
  const boot = ['-kernel', kernel, '-initrd', path('initramfs'), '-append', `console=${device} ${kernelArguments}`];
  const port = ['-chardev', `socket,id=port,path=${path('port')}`, '-device', 'virtserialport,chardev=port,name=agent'];
  const disk = ['-drive', `if=none,id=disk,format=raw,file=${path('disk')}`, '-device', 'virtio-blk-pci,drive=disk'];
  return spawn(
    program,
    [
      ...[...args, ...fixed, '-m', String(memoryMb), '-smp', '2', ...boot],
      ...['-serial', `file:${path('console')}`, '-device', 'virtio-serial-pci', ...port, ...disk],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
}

/** Ends the machine by its pid and removes its files: when asked, or when this process exits without having asked. */
function endAtExit(child: ChildProcess, directory: string): () => Promise<void> {
  const clean = (): void => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  process.once('exit', clean);
  return async () => {
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    clean();
    await gone;
    process.off('exit', clean);
  };
}

/** Whatever is awaited, a machine that ends or hangs first is told with its console. */
async function beforeItEnds<T>(awaited: Promise<T>, child: ChildProcess, path: (name: string) => string): Promise<T> {
  let complaint = '';
  let timer: NodeJS.Timeout | undefined;
  const collect = (chunk: Buffer): void => {
    complaint += chunk;
  };
  child.stderr?.on('data', collect);
  const failure = new Promise<never>((_resolve, reject) => {
    const fail = (what: string): void => {
      const log = existsSync(path('console')) ? readFileSync(path('console'), 'utf8').slice(-4000) : '';
      reject(new Error(`The guest ${what}\n${complaint}${log}`));
    };
    timer = setTimeout(() => fail('did not boot in time'), BOOT_TIMEOUT_MS);
    child.once('error', (error) => fail(`did not start: ${error.message}`));
    child.once('exit', () => fail('ended'));
  });
  failure.catch(() => {});
  try {
    return await Promise.race([awaited, failure]);
  } finally {
    clearTimeout(timer);
    child.stderr?.off('data', collect);
  }
}
