// Health checks: probes in running containers, one at a time in each, and what they say in its record.
import { GantryError } from '../../errors.ts';
import type { Container } from '../container.ts';
import type { Announce } from '../container-events.ts';
import type { ExecInput, Execs } from '../exec.ts';
import type { ProbeResult } from '../record.ts';
import { SIGKILL } from '../signals.ts';
import { type Check, checkOf, goDuration, judge, untilNextProbe } from './health-state.ts';
import { LONGEST_TIMER_MS, within } from './times.ts';

export interface HealthMonitor {
  /** Probes it from now on, from the state in its record; nothing where it has no check or is watched already. */
  watch(container: Container): void;
  /** No more probes: it pauses, or the engine ends. */
  leave(container: Container): void;
  /** It has ended: as with docker it counts as unhealthy then. */
  ended(container: Container): void;
}

/** Bytes of output that are remembered of a probe. */
const OUTPUT_MAX = 4096;

interface Watch {
  stopped: boolean;
  timer?: NodeJS.Timeout;
  /** Ends the probe that runs. */
  abort?: () => void;
}

export function createHealthMonitor(execs: Execs, announce: Announce): HealthMonitor {
  const watches = new Map<Container, Watch>();

  const take = (container: Container, check: Check, result: ProbeResult): void => {
    const { state } = container.record;
    if (state.health === undefined) return;
    const before = state.health.status;
    container.change({ health: judge(state.health, result, check, Date.parse(state.startedAt)) });
    if (state.health.status !== before) announce(container, `health_status: ${state.health.status}`);
  };

  const schedule = (container: Container, check: Check, watch: Watch): void => {
    const { health, startedAt } = container.record.state;
    if (watch.stopped || health === undefined) return;
    const delayMs = untilNextProbe(health, check, Date.parse(startedAt), Date.now());
    watch.timer = setTimeout(
      async () => {
        const result = await probe(execs, container, check, watch);
        if (watch.stopped) return;
        // Nobody can look into it until it is restarted: what was known last stays, for the upgrade made nobody ill.
        if (result === undefined) return leave(container);
        take(container, check, result);
        schedule(container, check, watch);
      },
      Math.min(delayMs, LONGEST_TIMER_MS),
    );
  };

  const leave = (container: Container): void => {
    const watch = watches.get(container);
    if (watch === undefined) return;
    watches.delete(container);
    watch.stopped = true;
    clearTimeout(watch.timer);
    watch.abort?.();
  };

  return {
    watch(container) {
      const check = checkOf(container.record.config);
      if (check === undefined || watches.has(container)) return;
      const watch: Watch = { stopped: false };
      watches.set(container, watch);
      schedule(container, check, watch);
    },
    leave,
    ended(container) {
      leave(container);
      const { health } = container.record.state;
      if (health !== undefined) health.status = 'unhealthy';
    },
  };
}

const input: Omit<ExecInput, 'args'> = {
  env: [],
  workingDir: '',
  user: '',
  tty: false,
  attachStdin: false,
  attachStdout: true,
  attachStderr: true,
  privileged: false,
  detachKeys: '',
};

/**
 * Runs the check once. Never rejects: what keeps it from running is a failure of the check. Undefined where another version
 * of gantry started the container, which can then not be entered.
 */
async function probe(execs: Execs, container: Container, check: Check, watch: Watch): Promise<ProbeResult | undefined> {
  const start = new Date().toISOString();
  const done = (exitCode: number, output: string): ProbeResult => ({
    start,
    end: new Date().toISOString(),
    exitCode,
    output,
  });
  const kept: Uint8Array[] = [];
  let size = 0;
  const text = (): string => {
    const bytes = Buffer.concat(kept);
    return bytes.length > OUTPUT_MAX ? `${bytes.subarray(0, OUTPUT_MAX)}...` : bytes.toString();
  };
  try {
    const exec = execs.create(container, { ...input, args: check.command });
    const process = await execs.start(exec, {
      output(_stream, data) {
        if (size <= OUTPUT_MAX) kept.push(data.slice(0, OUTPUT_MAX + 1));
        size += data.length;
      },
      end() {},
    });
    watch.abort = () => process.signal(SIGKILL);
    if (watch.stopped) watch.abort();
    if (await within(process.exited, check.timeout / 1e6)) return done((await process.exited).exitCode, text());
    process.signal(SIGKILL);
    await process.exited;
    const output = text();
    return done(
      -1,
      `Health check exceeded timeout (${goDuration(check.timeout)})${output === '' ? '' : `: ${output}`}`,
    );
  } catch (error) {
    if (error instanceof GantryError && error.code === 'OTHER_VERSION') return undefined;
    return done(-1, (error as Error).message);
  } finally {
    delete watch.abort;
  }
}
