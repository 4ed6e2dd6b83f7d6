// BuildKit's progress on a terminal: one block that is drawn again and again, a row a step, the last output below a running one.
import type { BuildEvent } from '../../build/progress.ts';
import type { Display } from './display.ts';
import { isCanceled, LineBuffer, type Step, Steps, sinceStart, statusCount, visibleLine } from './steps.ts';
import { cut, widthOf } from './text-width.ts';

const FRAME_MS = 150;
/** Rows of output below a step that runs, and how many must be free for them. */
const OUTPUT_ROWS = 6;
/** Lines of a step that are kept for the text of a failure. */
const KEPT = 200;

/** Columns that a count must leave to the text in front of it. */
const LEAST_TEXT = 12;

const [BLUE, YELLOW, RED, FAINT] = [34, 33, 31, 2];

export interface Terminal {
  write(text: string): unknown;
  columns?: number;
  rows?: number;
}

interface Row {
  text: string;
  /** Behind the text, which is cut for its sake. */
  count?: string;
  right: string;
  open: boolean;
  style?: number | undefined;
  /** Output of this step may stand below. */
  step?: Step;
}

interface Output {
  lines: string[];
  buffer: LineBuffer;
}

/** @param now in milliseconds. @param colors as NO_COLOR wishes. */
export function terminalDisplay(
  terminal: Terminal,
  colors: boolean,
  now: () => number = Date.now,
): Display & { draw(): void } {
  const steps = new Steps();
  const outputs = new Map<string, Output>();
  const begin = now();
  let drawn = 0;
  let skew: number | undefined;
  let timer: NodeJS.Timeout | undefined = setInterval(() => draw(false), FRAME_MS);
  timer.unref();
  const paint = (text: string, style: number | undefined): string =>
    colors && style !== undefined ? `\x1b[${style}m${text}\x1b[0m` : text;

  const draw = (whole: boolean): void => {
    const width = Math.max(20, terminal.columns ?? 80);
    const height = terminal.rows || Number.POSITIVE_INFINITY;
    const { total, completed } = steps.count;
    const finished = whole && completed === total ? ' FINISHED' : '';
    const seconds = ((now() - begin) / 1000).toFixed(1);
    const head = `[+] Building ${seconds}s (${completed}/${total})${finished}`;
    const rows = steps.started.flatMap((step) => rowsOf(step, now() - (skew ?? 0)));
    const shown = whole ? rows : fitting(rows, height - 2);
    const free = whole ? 0 : height - 2 - shown.length;
    const lines = [
      cut(head, width),
      ...withOutput(shown, free, width).map(({ text, count = '', right, style }) => {
        const left = width - widthOf(right) - 1;
        const rest = left - count.length - 1;
        const short = count === '' || rest < LEAST_TEXT ? cut(text, left) : `${cut(text, rest)} ${count}`;
        return paint(right === '' ? short : `${short}${' '.repeat(left - widthOf(short) + 1)}${right}`, style);
      }),
    ];
    const up = drawn > 0 ? `\x1b[${drawn}A` : '';
    // Every line clears what it leaves of the last picture's; the rest of that goes at the end.
    terminal.write(`\x1b[?25l${up}\r${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J\x1b[?25h`);
    drawn = lines.length;
  };

  /** Output below the steps that run, while there is room. */
  const withOutput = (rows: Row[], free: number, width: number): Row[] => {
    let room = free;
    return rows.flatMap((row) => {
      const output = row.step?.completed === undefined ? outputs.get(row.step?.id ?? '') : undefined;
      if (output === undefined || room < OUTPUT_ROWS + 1) return [row];
      const { rest } = output.buffer;
      const whole = output.lines.slice(-OUTPUT_ROWS).map((line) => line.slice(line.indexOf(' ') + 1));
      const last = (rest === undefined ? whole : [...whole, rest.line]).slice(-OUTPUT_ROWS);
      room -= OUTPUT_ROWS;
      return [
        row,
        ...last.map((line) => ({ text: cut(` => => # ${line}`, width), right: '', open: true, style: FAINT })),
      ];
    });
  };

  return {
    draw: () => draw(false),
    event(event: BuildEvent) {
      const step = steps.update(event);
      // Times are the engine's, whose clock may be another.
      if (event.type === 'vertex' && event.started !== undefined) skew ??= now() - (event.completed ?? event.started);
      if (step === undefined || event.type !== 'log') return;
      const output = outputs.get(step.id) ?? { lines: [], buffer: new LineBuffer() };
      outputs.set(step.id, output);
      for (const { line, time } of output.buffer.add(event)) output.lines.push(`${sinceStart(step, time)} ${line}`);
      output.lines.splice(0, output.lines.length - KEPT);
    },
    end() {
      if (timer === undefined) return;
      clearInterval(timer);
      timer = undefined;
      draw(true);
    },
    failedOutput() {
      const failed = steps.started.find((step) => step.error !== undefined && !isCanceled(step));
      if (failed === undefined) return undefined;
      const { lines = [], buffer } = outputs.get(failed.id) ?? {};
      const rest = buffer?.end().map(({ line, time }) => `${sinceStart(failed, time)} ${line}`) ?? [];
      return { name: failed.name, lines: [...lines, ...rest] };
    },
  };
}

/** "1.2s"; what took next to nothing took nothing. */
function elapsed(from: number, to: number): string {
  const seconds = Math.max(0, (to - from) / 1000);
  return `${(seconds < 0.05 ? 0 : seconds).toFixed(1)}s`.padStart(4);
}

function rowsOf(step: Step, now: number): Row[] {
  const canceled = isCanceled(step);
  const failed = step.error !== undefined && !canceled;
  const word = canceled ? 'CANCELED ' : failed ? 'ERROR ' : step.cached ? 'CACHED ' : '';
  const open = step.completed === undefined;
  const done = canceled ? YELLOW : failed ? RED : BLUE;
  const main: Row = {
    text: ` => ${word}${visibleLine(step.name)}`,
    right: elapsed(step.started ?? now, step.completed ?? now),
    open,
    style: open ? undefined : done,
    step,
  };
  const parts = [...step.statuses.values()].map((status): Row => {
    const ended = status.completed ?? step.completed;
    return {
      text: ` => => ${status.id}`,
      count: statusCount(status),
      right: status.started === undefined ? '' : elapsed(status.started, ended ?? now),
      open: ended === undefined,
      style: ended === undefined ? undefined : BLUE,
    };
  });
  return [main, ...parts];
}

/** The last rows that fit; of those before them the open ones take the places of such as are done. */
function fitting(rows: Row[], limit: number): Row[] {
  if (rows.length <= limit) return rows;
  const last = rows.slice(rows.length - Math.max(0, limit));
  const hidden = rows.slice(0, rows.length - last.length).filter(({ open }) => open);
  let surplus = hidden.length;
  const kept = last.filter(({ open }) => open || surplus-- <= 0);
  return [...hidden.slice(hidden.length - (last.length - kept.length)), ...kept];
}
