// BuildKit's plain progress, for logs: a block a step, "#5 [2/4] RUN make", its output, "#5 DONE 0.4s"; no control characters.
import type { BuildEvent, StatusEvent } from '../../build/progress.ts';
import type { Display } from './display.ts';
import { isCanceled, LineBuffer, sinceStart, type Step, Steps, statusCount } from './steps.ts';

/** How long a step keeps the place while others have something to say. */
const TURN_MS = 5000;
/** A count is told again when it has grown by this part, or after this time. */
const [LEAST_PART, LEAST_MS] = [0.05, 5000];
/** Lines that are kept for the text of a failure. */
const KEPT = 10;

interface Shown {
  step: Step;
  /** "#5", given when it is first shown. */
  index: number;
  waiting: string[];
  output: LineBuffer;
  kept: string[];
  told: Map<string, StatusEvent & { at: number }>;
  done: boolean;
}

export function plainDisplay(write: (text: string) => void, now: () => number = Date.now): Display {
  const steps = new Steps();
  const shown = new Map<string, Shown>();
  let count = 0;
  let current: Shown | undefined;
  let currentSince = 0;
  let first = true;
  /** The engine's clock may be another. */
  let skew: number | undefined;

  const find = (step: Step): Shown => {
    let found = shown.get(step.id);
    if (found === undefined) {
      found = { step, index: 0, waiting: [], output: new LineBuffer(), kept: [], told: new Map(), done: false };
      shown.set(step.id, found);
    }
    return found;
  };

  /** Gives a step the place and says all that waits. */
  const speak = (one: Shown): void => {
    one.index ||= ++count;
    if (current !== one) {
      if (current !== undefined) write(`#${current.index} ...\n`);
      write(`${first ? '' : '\n'}#${one.index} ${one.step.name}\n`);
      first = false;
      current = one;
      currentSince = now();
    }
    for (const line of one.waiting.splice(0)) write(`#${one.index} ${line}`.trimEnd().concat('\n'));
    if (one.done) current = undefined;
  };

  const finish = (one: Shown): void => {
    const { step } = one;
    one.done = true;
    keep(one, one.output.end());
    const seconds = ((step.completed! - (step.started ?? step.completed!)) / 1000).toFixed(1);
    one.waiting.push(
      isCanceled(step)
        ? 'CANCELED'
        : step.error !== undefined
          ? `ERROR: ${step.error}`
          : step.cached
            ? 'CACHED'
            : `DONE ${seconds}s`,
    );
  };

  const keep = (one: Shown, lines: { line: string; time: number }[]): void => {
    for (const { line, time } of lines) {
      const text = `${sinceStart(one.step, time)} ${line}`;
      one.waiting.push(text);
      one.kept.push(text);
    }
    one.kept.splice(0, one.kept.length - KEPT);
  };

  const tell = (one: Shown, status: StatusEvent): void => {
    const before = one.told.get(status.id);
    const at = now() - (skew ?? 0);
    const grown = ((status.current ?? 0) - (before?.current ?? 0)) / (status.total || Number.POSITIVE_INFINITY);
    const open = status.completed === undefined;
    if (before !== undefined && open && grown < LEAST_PART && at - before.at < LEAST_MS) return;
    one.told.set(status.id, { ...status, at });
    const took = ((status.completed ?? at) - (status.started ?? at)) / 1000;
    const parts = [status.id, statusCount(status), took > 0.01 ? `${took.toFixed(1)}s` : '', open ? '' : 'done'];
    one.waiting.push(parts.filter(Boolean).join(' '));
  };

  return {
    event(event: BuildEvent) {
      const step = steps.update(event);
      if (event.type === 'vertex' && event.started !== undefined) skew ??= now() - (event.completed ?? event.started);
      if (event.type === 'warning') write(`WARN: ${event.message}\n`);
      if (step?.started === undefined) return;
      const one = find(step);
      if (one.done) return;
      if (event.type === 'log') keep(one, one.output.add(event));
      if (event.type === 'status') tell(one, event);
      if (step.completed !== undefined) finish(one);
      const isNew = one.index === 0 && current === undefined;
      if (one === current || one.done || isNew) speak(one);
      else if (current !== undefined && one.waiting.length > 0 && now() - currentSince > TURN_MS) speak(one);
      if (current !== undefined) return;
      const next = [...shown.values()].find(({ done, waiting }) => !done && waiting.length > 0);
      if (next !== undefined) speak(next);
    },
    end() {
      for (const one of shown.values()) if (one.waiting.length > 0) speak(one);
    },
    failedOutput() {
      const failed = [...shown.values()].find(({ step }) => step.error !== undefined && !isCanceled(step));
      return failed && { name: failed.step.name, lines: failed.kept };
    },
  };
}
