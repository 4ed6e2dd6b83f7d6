// Keeps a guest's clock with this host's, whose own may leap: a laptop that sleeps, a clock that is set.
import type { Channel } from './channel/channel.ts';

export interface Clocks {
  /** Milliseconds since the epoch, and of a clock that never leaps. */
  wall(): number;
  steady(): number;
}

const LOOK_MS = 1000;
/** A leap is told within a second, everything else by and by. */
const LEAP_MS = 100;
/** Not looked for so long: this host has slept, and its steady clock may count that, too. */
const SLEPT_MS = 3 * LOOK_MS;
const TELL_MS = 30_000;

const own: Clocks = { wall: Date.now, steady: () => performance.now() };

/** Returns the way to stop. */
export function keepClock(channel: Pick<Channel, 'tellTime'>, { wall, steady }: Clocks = own): () => void {
  let offset = wall() - steady();
  let told = steady();
  let looked = told;
  const timer = setInterval(() => {
    const now = wall() - steady();
    const slept = steady() - looked > SLEPT_MS;
    looked = steady();
    if (!slept && Math.abs(now - offset) < LEAP_MS && looked - told < TELL_MS) return;
    offset = now;
    told = looked;
    channel.tellTime();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
