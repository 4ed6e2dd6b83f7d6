// QEMU's command line for a guest: a function of facts, so that every host's can be read and tested on any.

export type Architecture = 'x86_64' | 'aarch64';
export type Accelerator = 'kvm' | 'hvf' | 'whpx' | 'tcg';

export interface GuestSpec {
  host: NodeJS.Platform;
  architecture: Architecture;
  accelerator: Accelerator;
  memoryMb: number;
  cpus: number;
  /** Paths of the host. */
  kernel: string;
  initramfs: string;
  disk: string;
  console: string;
  /** Where QEMU offers the channel: a unix socket, or on Windows a named pipe. */
  port: GuestPort;
  /** The same for whoever serves shares. */
  sharesPort: GuestPort;
  /** Unix socket where QEMU takes commands; absent: nowhere. */
  control?: string;
  /** Instead of a boot the memory comes from the fd of this number. */
  resumeFrom?: number;
  /** UUID that tells the guest's kernel whether its memory is a copy: another one each time. Default: QEMU's choice. */
  generation?: string;
}

export type GuestPort = { socket: string } | { pipe: string };

interface MachineType {
  machine: string;
  /** Without an accelerator. "max" has pointer authentication on arm64, which costs the interpreter seconds. */
  interpreted: string;
  console: string;
  kernelArguments: string;
  /** QEMU has the device that tells of copies. */
  generation: boolean;
}

const machineTypes: Record<Architecture, MachineType> = {
  x86_64: {
    machine: 'q35',
    interpreted: 'max',
    console: 'ttyS0',
    // Under the interpreter neither calibrates in time.
    kernelArguments: 'no_timer_check tsc=reliable noreplace-smp',
    generation: true,
  },
  aarch64: { machine: 'virt', interpreted: 'cortex-a72', console: 'ttyAMA0', kernelArguments: '', generation: false },
};

/** No reboot: a kernel that panics ends the machine. No self-tests of ciphers: they take a tenth of the boot. */
const kernelArguments = 'quiet loglevel=3 panic=-1 cryptomgr.notests random.trust_cpu=on';

export function qemuProgram(architecture: Architecture): string {
  return `qemu-system-${architecture}`;
}

export function qemuArguments(spec: GuestSpec): string[] {
  const { architecture, accelerator, memoryMb, cpus } = spec;
  const type = machineTypes[architecture];
  const interpreted = accelerator === 'tcg';
  const words = [`console=${type.console}`, kernelArguments, interpreted ? type.kernelArguments : ''];
  const disk = 'if=none,id=data,format=qcow2,discard=unmap,detect-zeroes=unmap';
  const control = spec.control === undefined ? [] : controlOptions(spec.control);
  const generation = type.generation ? ['-device', `vmgenid,guid=${spec.generation ?? 'auto'}`] : [];
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-machine', type.machine, '-accel', acceleratorOption(spec)],
    ...['-cpu', interpreted ? type.interpreted : 'host', '-m', `${memoryMb}M`, '-smp', String(cpus)],
    ...['-kernel', spec.kernel, '-initrd', spec.initramfs, '-append', words.filter(Boolean).join(' ')],
    ...['-chardev', `file,id=console,path=${quoted(spec.console)}`, '-serial', 'chardev:console'],
    ...['-device', 'virtio-serial-pci', '-chardev', chardev('port', spec.port)],
    ...['-device', 'virtserialport,chardev=port,name=gantry'],
    ...['-chardev', chardev('shares', spec.sharesPort), '-device', 'virtserialport,chardev=shares,name=gantry.shares'],
    ...['-drive', `${disk},file=${quoted(spec.disk)}`, '-device', 'virtio-blk-pci,drive=data'],
    ...['-object', 'rng-builtin,id=entropy', '-device', 'virtio-rng-pci,rng=entropy'],
    ...['-device', 'virtio-balloon-pci,free-page-reporting=on'],
    ...generation,
    ...control,
    ...(spec.resumeFrom === undefined ? [] : ['-incoming', `fd:${spec.resumeFrom}`]),
  ];
}

function chardev(id: string, port: GuestPort): string {
  return 'socket' in port
    ? `socket,id=${id},path=${quoted(port.socket)},server=on,wait=off`
    : `pipe,id=${id},path=${quoted(port.pipe)}`;
}

function controlOptions(path: string): string[] {
  return ['-chardev', `socket,id=control,path=${quoted(path)},server=on,wait=off`, '-mon', 'control,mode=control'];
}

/** Of code that was translated; QEMU's own measure, a gigabyte, it never gives back. */
const TRANSLATED_MB = 128;

function acceleratorOption({ accelerator, architecture }: GuestSpec): string {
  // One thread for all CPUs: with one each, QEMU 7.2 now and then runs stale code of a program that compiles as it runs (Node).
  if (accelerator === 'tcg') return `tcg,thread=single,tb-size=${TRANSLATED_MB}`;
  // Interrupts are lost with the hypervisor's own controller on x86-64; on arm64 QEMU has no other.
  if (accelerator === 'whpx' && architecture === 'x86_64') return 'whpx,kernel-irqchip=off';
  return accelerator;
}

/** In QEMU's lists a comma ends a value, two are one. */
function quoted(path: string): string {
  return path.replaceAll(',', ',,');
}

export interface HostSize {
  memoryMb: number;
  cpus: number;
}

/** What the user asked for: GANTRY_VM_MEMORY ("2g"), GANTRY_VM_CPUS. */
export interface WantedSize {
  memory?: string | undefined;
  cpus?: string | undefined;
}

const SMALLEST_MB = 256;
const LARGEST_MB = 8192;
/** The interpreter's guests boot the slower the more they have. */
const INTERPRETED_MB = 2048;
const INTERPRETED_CPUS = 2;

/** Half of the host's memory within bounds: QEMU takes it as the guest touches it, and gives back what is freed. Undefined where what is wanted cannot be read. */
export function guestSize(host: HostSize, accelerator: Accelerator, wanted: WantedSize = {}): HostSize | undefined {
  const interpreted = accelerator === 'tcg';
  const half = Math.floor(host.memoryMb / 2);
  const memoryMb = Math.max(SMALLEST_MB, Math.min(half, interpreted ? INTERPRETED_MB : LARGEST_MB));
  const cpus = Math.max(1, interpreted ? Math.min(host.cpus, INTERPRETED_CPUS) : host.cpus);
  const size = {
    memoryMb: wanted.memory ? readMegabytes(wanted.memory) : memoryMb,
    cpus: wanted.cpus ? Number(wanted.cpus) : cpus,
  };
  const fits = size.memoryMb >= SMALLEST_MB && Number.isInteger(size.cpus) && size.cpus >= 1 && size.cpus <= 64;
  return fits ? size : undefined;
}

function readMegabytes(text: string): number {
  const [, digits, unit = 'm'] = /^(\d+)([mg])?b?$/i.exec(text) ?? [];
  return digits === undefined ? Number.NaN : Number(digits) * (unit.toLowerCase() === 'g' ? 1024 : 1);
}
