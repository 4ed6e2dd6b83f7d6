// When a guest is told the time: at once where this host's clock has leaped, else now and then.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { keepClock } from '../../../host/vm/clock.ts';

describe('the clock of a guest', () => {
  const clocks = { wallMs: 1_000_000, steadyMs: 0 };
  let told = 0;
  let leave: () => void;

  /** Seconds in which both clocks go on as they should. */
  const pass = (seconds: number): void => {
    for (let second = 0; second < seconds; second++) {
      clocks.wallMs += 1000;
      clocks.steadyMs += 1000;
      vi.advanceTimersByTime(1000);
    }
  };

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    told = 0;
    leave = keepClock({ tellTime: () => void told++ }, { wall: () => clocks.wallMs, steady: () => clocks.steadyMs });
  });

  afterEach(() => {
    leave();
    vi.useRealTimers();
  });

  it('is told twice a minute', () => {
    pass(29);
    expect(told).toBe(0);
    pass(33);
    expect(told).toBe(2);
  });

  it.each([
    ['this host has slept for twelve hours', 12 * 3600_000, 0],
    ['it has slept, and its steady clock counts that', 12 * 3600_000, 12 * 3600_000],
    ['its clock was set back', -60_000, 0],
  ])('is told within a second where %s, once', (_name, wall, steady) => {
    pass(5);
    clocks.wallMs += wall;
    clocks.steadyMs += steady;
    pass(1);
    expect(told).toBe(1);
    pass(5);
    expect(told).toBe(1);
  });

  it('is not told any more once it is let go of', () => {
    leave();
    pass(100);
    expect(told).toBe(0);
  });
});
