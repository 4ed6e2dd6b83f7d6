// Docker's rules for health: which command is run and when, and what its results make of a container. No clock, no process.
import { GantryError } from '../../errors.ts';
import type { ContainerConfig, Healthcheck } from '../../types.ts';
import type { Health, ProbeResult } from '../record.ts';

const SECOND = 1e9;
const defaults = { interval: 30 * SECOND, timeout: 30 * SECOND, startPeriod: 0, startInterval: 5 * SECOND, retries: 3 };
/** Results that are remembered. */
const REMEMBERED = 5;

/** A health check with docker's defaults, times in nanoseconds. */
export interface Check extends Healthcheck {
  /** Program and arguments. */
  command: string[];
}

/** Undefined where nothing is to be checked. */
export function checkOf({ healthcheck, shell }: ContainerConfig): Check | undefined {
  const [kind, ...rest] = healthcheck?.test ?? [];
  if (healthcheck === undefined || (kind !== 'CMD' && kind !== 'CMD-SHELL')) return undefined;
  const given = Object.fromEntries(Object.entries(healthcheck).filter(([, value]) => value !== 0));
  const command = kind === 'CMD' ? rest : [...(shell ?? ['/bin/sh', '-c']), ...rest];
  return { ...defaults, ...(given as unknown as Healthcheck), command };
}

const MINIMUM = 1e6;

/** @throws {GantryError} INVALID_ARGUMENT in docker's words. */
export function validateHealthcheck(healthcheck: Healthcheck | undefined): void {
  if (healthcheck === undefined) return;
  const times = {
    Interval: healthcheck.interval,
    Timeout: healthcheck.timeout,
    StartPeriod: healthcheck.startPeriod,
    StartInterval: healthcheck.startInterval,
  };
  for (const [name, value] of Object.entries(times))
    if (value !== 0 && value < MINIMUM)
      throw new GantryError('INVALID_ARGUMENT', `${name} in Healthcheck cannot be less than 1ms`);
  if (healthcheck.retries < 0) throw new GantryError('INVALID_ARGUMENT', 'Retries in Healthcheck cannot be negative');
}

/** Of a container that has just started; what is remembered of its earlier runs stays. */
export function freshHealth(config: ContainerConfig, before: Health | undefined): Health | undefined {
  if (checkOf(config) === undefined) return undefined;
  return { status: 'starting', failingStreak: 0, log: before?.log ?? [] };
}

/** @param startedAtMs of the container, since the epoch. */
export function judge(health: Health, result: ProbeResult, check: Check, startedAtMs: number): Health {
  const log = [...health.log, result].slice(-REMEMBERED);
  if (result.exitCode === 0) return { status: 'healthy', failingStreak: 0, log };
  const lenient = health.status === 'starting' && Date.parse(result.start) - startedAtMs < check.startPeriod / 1e6;
  if (lenient) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= check.retries ? 'unhealthy' : health.status, failingStreak, log };
}

/** Milliseconds from now to the next probe: after the last one of this run, or after its start. */
export function untilNextProbe(health: Health, check: Check, startedAtMs: number, nowMs: number): number {
  const early = nowMs - startedAtMs < check.startPeriod / 1e6 && health.status === 'starting';
  const interval = (early ? check.startInterval : check.interval) / 1e6;
  const last = health.log.at(-1);
  const from = Math.max(last === undefined ? 0 : Date.parse(last.end), startedAtMs);
  return Math.min(Math.max(0, from + interval - nowMs), interval);
}

/** As Go prints a duration: "500ms", "1m30s". */
export function goDuration(nanoseconds: number): string {
  if (nanoseconds < SECOND) return `${nanoseconds / 1e6}ms`;
  const seconds = nanoseconds / SECOND;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = `${Number((seconds % 60).toFixed(9))}s`;
  return `${hours > 0 ? `${hours}h` : ''}${hours + minutes > 0 ? `${minutes}m` : ''}${rest}`;
}
