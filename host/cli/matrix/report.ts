// A matrix's outcome as JSON, as GitHub's annotations and step summary, and as its last lines.
import { randomUUID } from 'node:crypto';
import { printable } from '../format/printable.ts';
import type { Room } from './pack.ts';
import { isFailure, type Job, lastLines, type Outcome, outcomeOf, sentence } from './result.ts';

const TAIL_LINES = 20;

export function countsOf(jobs: Job[]): Partial<Record<Outcome, number>> {
  const counts: Partial<Record<Outcome, number>> = {};
  for (const outcome of ['passed', 'failed', 'timed out', 'error', 'canceled', 'skipped'] as const) {
    const count = jobs.filter((job) => outcomeOf(job) === outcome).length;
    if (count > 0) counts[outcome] = count;
  }
  return counts;
}

/** "3 passed, 1 failed". */
export function summary(jobs: Job[]): string {
  return Object.entries(countsOf(jobs))
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ');
}

export function jsonReport(jobs: Job[], file: string, capacity: Room, began: number, seconds: number): string {
  const cells = jobs.map((job) => ({
    name: job.cell.name,
    values: job.cell.values,
    image: job.cell.image,
    ...(job.cell.platform === undefined ? {} : { platform: job.cell.platform }),
    cpus: job.demand.nanoCpus / 1e9,
    memory: job.demand.memory,
    ...job.attempts.at(-1),
    outcome: outcomeOf(job),
    seconds: job.seconds,
    attempts: job.attempts,
    ...(job.log === undefined ? {} : { log: job.log }),
  }));
  const passed = jobs.every((job) => outcomeOf(job) === 'passed');
  const machine = { cpus: capacity.nanoCpus / 1e9, memory: capacity.memory };
  const started = new Date(began).toISOString();
  return `${JSON.stringify({ file, started, seconds, passed, counts: countsOf(jobs), machine, cells }, null, 2)}\n`;
}

/** What failed, with the end of its output, for people. */
export function failureText(jobs: Job[]): string {
  return jobs
    .filter((job) => isFailure(outcomeOf(job)))
    .map((job) => {
      const log = job.log === undefined ? '' : `Log: ${job.log}\n`;
      return printable(`\n--- ${job.cell.name}: ${sentence(job)} ---\n${tailOf(job)}${log}`);
    })
    .join('');
}

function tailOf(job: Job): string {
  return job.tail.trim() === '' ? '' : `${lastLines(job.tail, TAIL_LINES).join('\n')}\n`;
}

/** GitHub's escapes of workflow commands. */
const data = (text: string): string => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
const property = (text: string): string => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C');

/** The same as workflow commands: a folded group and an annotation each. Output of cells is no command there. */
export function githubText(jobs: Job[], token: string = randomUUID()): string {
  return jobs
    .filter((job) => isFailure(outcomeOf(job)))
    .map((job) => {
      const { name } = job.cell;
      const output = printable(tailOf(job)) || '(no output)\n';
      const body = `::stop-commands::${token}\n${output}::${token}::\n`;
      return `::group::${data(name)}\n${body}::endgroup::\n::error title=${property(name)}::${data(sentence(job))}\n`;
    })
    .join('');
}

/** Markdown for the page of a workflow's run. */
export function githubSummary(jobs: Job[], file: string): string {
  const cell = (text: string): string =>
    text.replace(/[\\|`<>&*_[\]]/g, (letter) => `&#${letter.charCodeAt(0)};`).replace(/\s+/g, ' ');
  const rows = jobs.map((job) => `| ${cell(job.cell.name)} | ${cell(sentence(job))} | ${job.seconds.toFixed(1)} s |`);
  return `### ${cell(file)}: ${summary(jobs)}\n\n| Cell | Outcome | Time |\n|---|---|---:|\n${rows.join('\n')}\n`;
}
