// What shows a matrix while it runs: a table that is drawn again and again on a terminal, a line for each event elsewhere.
import { cut, widthOf } from '../build/text-width.ts';
import { printable } from '../format/printable.ts';
import { isFailure, type Job, lastLines, outcomeOf, sentence } from './result.ts';
import { summary } from './report.ts';

const FRAME_MS = 150;
const [RED, GREEN, YELLOW, BLUE, FAINT] = [31, 32, 33, 34, 2];

export interface Display {
  changed(job: Job, what: 'state' | 'output'): void;
  /** Nothing follows: the last picture. */
  end(): void;
}

export interface Output {
  write(text: string): unknown;
  columns?: number;
  rows?: number;
}

const clean = (text: string): string => printable(text).replace(/[\t\n]/g, ' ');

/** Lines for logs. */
export function lineDisplay(output: Output): Display {
  return {
    changed(job, what) {
      if (what === 'output' || job.state === 'preparing' || (job.state === 'ended' && job.began === undefined)) return;
      const name = clean(job.cell.name);
      output.write(
        job.state === 'running'
          ? `${name}: started\n`
          : `${name}: ${clean(sentence(job))} in ${job.seconds.toFixed(1)} s\n`,
      );
    },
    end() {},
  };
}

/** Beginning and end: what tells cells apart is often the last value. */
function shortened(name: string, width: number): string {
  if (widthOf(name) <= width) return name;
  const end = [...name].slice(-Math.floor(width / 4)).join('');
  return `${cut(name, Math.max(0, width - 1 - widthOf(end)))}…${cut(end, width - 1)}`;
}

interface Look {
  word: string;
  color: number;
}

function lookOf(job: Job): Look {
  if (job.state !== 'ended') {
    const word = job.state === 'preparing' && job.attempts.length > 0 ? 'retrying' : job.state;
    return { word, color: job.state === 'waiting' ? FAINT : BLUE };
  }
  const word = outcomeOf(job);
  return { word, color: word === 'passed' ? GREEN : isFailure(word) ? RED : YELLOW };
}

/** Longest word of a state. */
const WORD = 'timed out'.length;
/** Columns that a name must leave to what stands behind it. */
const LEAST_TEXT = 24;

/** @param colors as NO_COLOR wishes. @param now in milliseconds. */
export function tableDisplay(
  terminal: Output,
  jobs: Job[],
  colors: boolean,
  now: () => number = Date.now,
): Display & { draw(): void } {
  const begin = now();
  let drawn = 0;
  const paint = (text: string, color: number): string => (colors ? `\x1b[${color}m${text}\x1b[0m` : text);

  const row = (job: Job, width: number, names: number): string => {
    const { word, color } = lookOf(job);
    const seconds = job.state === 'ended' ? job.seconds : (now() - (job.began ?? now())) / 1000;
    const right = job.began === undefined ? '' : `${seconds.toFixed(1)}s`;
    const name = shortened(clean(job.cell.name), names);
    const reason = job.state === 'ended' ? (job.attempts.at(-1)?.reason ?? '') : (lastLines(job.tail, 1)[0] ?? '');
    // A terminal's last column stays free: some wrap as soon as it is written.
    const room = Math.max(0, width - 1 - WORD - 2 - names - 2 - right.length - 1);
    const text = cut(clean(reason), room);
    const pad = (given: string, columns: number): string => given + ' '.repeat(Math.max(0, columns - widthOf(given)));
    const left = `${paint(pad(word, WORD), color)}  ${pad(name, names)}  `;
    return `${left}${paint(pad(text, room), FAINT)} ${right}`.replace(/ +$/, '');
  };

  const draw = (whole: boolean): void => {
    const width = Math.max(40, terminal.columns || 80);
    const height = whole ? Number.POSITIVE_INFINITY : (terminal.rows || 24) - 1;
    const longest = Math.max(...jobs.map((job) => widthOf(clean(job.cell.name))));
    const names = Math.max(8, Math.min(longest, width - 1 - WORD - 2 - 2 - LEAST_TEXT - 8));
    const ended = jobs.filter((job) => job.state === 'ended');
    const running = jobs.filter((job) => job.state === 'preparing' || job.state === 'running');
    const title = `[+] ${ended.length}/${jobs.length} cells${whole || ended.length === 0 ? '' : `: ${summary(ended)}`}`;
    const lines = [cut(`${title}  ${((now() - begin) / 1000).toFixed(1)}s`, width - 1)];
    // Where not all have room: what runs, what failed, the latest that ended, what waits.
    const important = [
      ...running,
      ...ended.filter((job) => isFailure(outcomeOf(job))),
      ...ended.filter((job) => !isFailure(outcomeOf(job))).reverse(),
      ...jobs.filter((job) => job.state === 'waiting'),
    ];
    const all = jobs.length + 1 <= height;
    const shown = new Set(all ? jobs : important.slice(0, Math.max(1, height - 2)));
    lines.push(...jobs.filter((job) => shown.has(job)).map((job) => row(job, width, names)));
    if (!all) lines.push(paint(cut(`… ${jobs.length - shown.size} more`, width - 1), FAINT));
    const up = drawn > 0 ? `\x1b[${drawn}A` : '';
    terminal.write(`${up}\r${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`);
    drawn = lines.length;
  };

  const timer = setInterval(() => draw(false), FRAME_MS);
  timer.unref();
  return {
    changed(_job, what) {
      if (what === 'state') draw(false);
    },
    draw: () => draw(false),
    end() {
      clearInterval(timer);
      draw(true);
    },
  };
}
