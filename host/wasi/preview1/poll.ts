// Clocks, and waiting for them and for input: poll_oneoff.
import { WasiError, errno } from './errno.ts';
import type { Calling } from './calling.ts';

const REALTIME = 0;
const MONOTONIC = 1;
const PROCESS_CPU = 2;
const THREAD_CPU = 3;
const NS_PER_MS = 1e6;

/** Nanoseconds. */
export function now(clock: number): bigint {
  if (clock === MONOTONIC) return process.hrtime.bigint();
  if (clock === REALTIME) return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  if (clock !== PROCESS_CPU && clock !== THREAD_CPU) throw new WasiError('inval');
  const { user, system } = process.cpuUsage();
  return BigInt(user + system) * 1000n;
}

export function resolution(clock: number): bigint {
  if (clock < REALTIME || clock > THREAD_CPU) throw new WasiError('inval');
  return clock === MONOTONIC ? 1n : 1000n;
}

const SUBSCRIPTION = 48;
const EVENT = 32;
const CLOCK = 0;
const FD_READ = 1;
const FD_WRITE = 2;
const ABSOLUTE = 1;

interface Subscription {
  userdata: bigint;
  type: number;
  descriptor: number;
  /** By its clock, in nanoseconds; clocks only. */
  clock: number;
  until: bigint;
}

interface Occurred {
  subscription: Subscription;
  error: number;
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

export function poll({ memory, open }: Calling, from: number, to: number, count: number, stored: number): number {
  if (count === 0) return errno.inval;
  const subscriptions = Array.from({ length: count }, (_, index) => read(memory.view(), from + index * SUBSCRIPTION));
  const inputs = subscriptions.flatMap((subscription) => {
    if (subscription.type !== FD_READ) return [];
    const found = tryGet(open, subscription.descriptor);
    return found?.kind === 'input' ? [found] : [];
  });
  for (;;) {
    const occurred = subscriptions.flatMap((subscription) => occurs({ memory, open }, subscription));
    if (occurred.length > 0) {
      for (const [index, event] of occurred.entries()) write(memory.view(), to + index * EVENT, event);
      memory.view().setUint32(stored, occurred.length, true);
      return errno.success;
    }
    const waits = subscriptions.filter(({ type }) => type === CLOCK).map(({ clock, until }) => until - now(clock));
    const milliseconds = Math.min(...waits.map((left) => Number(left) / NS_PER_MS)); // None: without end.
    if (inputs[0] !== undefined) inputs[0].wait(milliseconds);
    else Atomics.wait(sleeper, 0, 0, Math.max(0, milliseconds));
  }
}

function tryGet(open: Calling['open'], descriptor: number): ReturnType<Calling['open']['get']> | undefined {
  try {
    return open.get(descriptor);
  } catch {
    return undefined;
  }
}

function occurs({ open }: Calling, subscription: Subscription): Occurred[] {
  const event = (error: number = errno.success): Occurred[] => [{ subscription, error }];
  if (subscription.type === CLOCK) return now(subscription.clock) >= subscription.until ? event() : [];
  const found = tryGet(open, subscription.descriptor);
  if (found === undefined) return event(errno.badf);
  if (subscription.type === FD_READ && found.kind === 'input') return found.ready() ? event() : [];
  return event(); // Files and output are always ready.
}

function read(view: DataView, at: number): Subscription {
  const type = view.getUint8(at + 8);
  if (type > FD_WRITE) throw new WasiError('inval');
  const subscription = { userdata: view.getBigUint64(at, true), type, descriptor: 0, clock: 0, until: 0n };
  if (type !== CLOCK) return { ...subscription, descriptor: view.getUint32(at + 16, true) };
  const clock = view.getUint32(at + 16, true);
  const given = view.getBigUint64(at + 24, true);
  const absolute = (view.getUint16(at + 40, true) & ABSOLUTE) !== 0;
  return { ...subscription, clock, until: absolute ? given : now(clock) + given };
}

function write(view: DataView, at: number, { subscription: { userdata, type }, error }: Occurred): void {
  for (let offset = 0; offset < EVENT; offset += 8) view.setBigUint64(at + offset, 0n, true);
  view.setBigUint64(at, userdata, true);
  view.setUint16(at + 8, error, true);
  view.setUint8(at + 10, type);
  if (type !== CLOCK && error === errno.success) view.setBigUint64(at + 16, 1n, true);
}
