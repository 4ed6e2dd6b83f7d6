// From the file and the flags of `matrix` to its exit status: 0 all passed, 1 a cell did not, 125 it could not be run.
import { randomUUID } from 'node:crypto';
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Api } from '../../client/api.ts';
import { GantryError } from '../../errors.ts';
import type { Context } from '../command.ts';
import type { Parsed } from '../flags.ts';
import { tableLines } from '../format/table.ts';
import { binarySize, parseBytes } from '../format/units.ts';
import { printable } from '../format/printable.ts';
import { type Cell, cellsOf, chosen, demandOf } from './cells.ts';
import { lineDisplay, tableDisplay } from './display.ts';
import { junitReport } from './junit.ts';
import { isPossible, loads, type Room } from './pack.ts';
import { failureText, githubSummary, githubText, jsonReport, summary } from './report.ts';
import { type Job, outcomeOf } from './result.ts';
import { runJobs } from './schedule.ts';

/** Of the machine's memory: the rest is for engine and kernel. */
const MEMORY_SHARE = 0.9;

const SIGNALS: [NodeJS.Signals, number][] = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
];

function invalid(flag: string, text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--${flag}": ${reason}`, {
    details: { flag },
  });
}

export async function runMatrix(parsed: Parsed, { api }: Context): Promise<number> {
  const progress = parsed.value('progress') ?? 'auto';
  if (!['auto', 'plain', 'tty'].includes(progress))
    throw invalid('progress', progress, 'it must be auto, plain or tty');
  const path = parsed.value('file') ?? 'matrix.yml';
  const { cells, fileJobs, failFast } = await readCells(path, parsed.list('filter'));
  const slots = parsed.number('jobs') ?? fileJobs ?? Number.POSITIVE_INFINITY;
  if (slots < 1) throw invalid('jobs', String(slots), 'it must be 1 at least');
  const capacity = await capacityOf(api, parsed);
  const jobs = cells.map((cell) => jobOf(cell, capacity));
  const toFile = parsed.value('json') !== '-';
  if (parsed.switch('dry-run')) {
    process.stdout.write(printable(dryRun(jobs, capacity, slots)));
    return 0;
  }
  const output = toFile ? process.stdout : process.stderr;
  const table = progress === 'tty' || (progress === 'auto' && output.isTTY === true && process.env.CI === undefined);
  const display = table ? tableDisplay(output, jobs, !process.env.NO_COLOR) : lineDisplay(output);
  const stop = new AbortController();
  let status = 0;
  const handlers = SIGNALS.map(([signal, number]) => {
    const handler = (): void => {
      if (status === 0) process.stderr.write('\nStopping: what runs is removed\n');
      status ||= number;
      stop.abort();
    };
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  const began = Date.now();
  try {
    await runJobs(api, jobs, {
      run: randomUUID(),
      capacity,
      slots,
      failFast: parsed.has('fail-fast') ? parsed.switch('fail-fast') : failFast,
      signal: stop.signal,
      openLog: logOpener(parsed.value('logs'), jobs),
      changed: display.changed,
    });
  } finally {
    display.end();
    for (const remove of handlers) remove();
  }
  const seconds = (Date.now() - began) / 1000;
  const github = parsed.has('github') ? parsed.switch('github') : process.env.GITHUB_ACTIONS === 'true';
  output.write(github ? githubText(jobs) : failureText(jobs));
  output.write(`\n${summary(jobs)} in ${seconds.toFixed(1)} s\n`);
  const stepSummary = process.env.GITHUB_STEP_SUMMARY;
  if (github && stepSummary) appendFileSync(stepSummary, githubSummary(jobs, path));
  const junit = parsed.value('junit');
  if (junit !== undefined) writeReport('junit', junit, junitReport(jobs, path, began, seconds));
  const json = parsed.value('json');
  if (json !== undefined) {
    const text = jsonReport(jobs, path, capacity, began, seconds);
    if (toFile) writeReport('json', json, text);
    else process.stdout.write(text);
  }
  return status || (jobs.every((job) => outcomeOf(job) === 'passed') ? 0 : 1);
}

async function readCells(path: string, filters: string[]) {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new GantryError('PATH_NOT_FOUND', `Cannot read "${path}": ${code === 'ENOENT' ? 'no such file' : code}`, {
      hint: 'Name it with -f FILE',
      cause,
    });
  }
  const name = path === '-' ? 'standard input' : path;
  const { parseDefinition } = await import('./definition.ts');
  const definition = parseDefinition(text, name);
  const directory = path === '-' ? process.cwd() : dirname(resolve(path));
  return {
    cells: chosen(cellsOf(definition, name, directory), filters),
    fileJobs: definition.jobs,
    failFast: definition.failFast,
  };
}

/** Of the machine that the engine is on. */
async function capacityOf(api: Api, parsed: Parsed): Promise<Room> {
  const info = await api.send<{ NCPU: number; MemTotal: number }>('GET', '/info');
  const cpus = parsed.value('cpus');
  const memory = parsed.value('memory');
  if (cpus !== undefined && (!/^\d{1,4}(\.\d{1,9})?$/.test(cpus) || Number(cpus) < 0.01 || Number(cpus) > info.NCPU))
    throw invalid('cpus', cpus, `the machine has ${info.NCPU}`);
  const bytes = memory === undefined ? Math.floor(info.MemTotal * MEMORY_SHARE) : parseBytes(memory, 'memory');
  if (bytes < 1 || bytes > info.MemTotal)
    throw invalid('memory', memory!, `the machine has ${binarySize(info.MemTotal)}`);
  return { nanoCpus: Math.round(Number(cpus ?? info.NCPU) * 1e9), memory: bytes };
}

function jobOf(cell: Cell, capacity: Room): Job {
  const demand = demandOf(cell, capacity);
  if (!isPossible(demand, capacity))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot run the cell "${cell.name}": it wants ${roomText(demand)}, and there are ${roomText(capacity)}`,
      { hint: 'Lower its cpus or memory in the file' },
    );
  return { cell, demand, state: 'waiting', attempts: [], began: undefined, seconds: 0, tail: '', log: undefined };
}

function roomText({ nanoCpus, memory }: Room): string {
  return `${nanoCpus / 1e9} CPU${nanoCpus === 1e9 ? '' : 's'} and ${binarySize(memory)}`;
}

/** Loads of the machine, one after the other; what really runs begins as soon as there is room. */
function dryRun(jobs: Job[], capacity: Room, slots: number): string {
  const packed = loads(jobs, capacity, slots);
  const rows = packed.flatMap((load, at) =>
    load.map(({ cell, demand }) => [
      String(at + 1),
      String(demand.nanoCpus / 1e9),
      binarySize(demand.memory),
      cell.image + (cell.platform === undefined ? '' : ` (${cell.platform})`),
      cell.name,
    ]),
  );
  const lines = tableLines(['LOAD', 'CPUS', 'MEMORY', 'IMAGE', 'CELL'], rows, 0);
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`;
  return `${lines.join('\n')}\n${count(jobs.length, 'cell')} in ${count(packed.length, 'load')} of ${roomText(capacity)}\n`;
}

function logOpener(directory: string | undefined, jobs: Job[]) {
  const digits = String(jobs.length).length;
  if (directory !== undefined)
    try {
      mkdirSync(directory, { recursive: true });
    } catch (cause) {
      throw cannotWrite('logs', directory, cause);
    }
  return (job: Job) => {
    if (directory === undefined) return { write: () => {}, close: () => {} };
    const number = String(jobs.indexOf(job) + 1).padStart(digits, '0');
    const word = job.cell.name
      .replace(/[^A-Za-z0-9.]+/g, '-')
      .replace(/^[-.]+|-+$/g, '')
      .slice(0, 80);
    job.log = join(directory, `${number}-${word}.log`);
    const path = job.log;
    const trying = <T>(work: () => T): T => {
      try {
        return work();
      } catch (cause) {
        throw cannotWrite('logs', path, cause);
      }
    };
    const file = trying(() => openSync(path, 'w', 0o644));
    return {
      write: (data: Buffer | string) => {
        const bytes = typeof data === 'string' ? Buffer.from(data) : data;
        for (let at = 0; at < bytes.length; ) at += trying(() => writeSync(file, bytes, at));
      },
      close: () => closeSync(file),
    };
  };
}

function writeReport(flag: string, path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  } catch (cause) {
    throw cannotWrite(flag, path, cause);
  }
}

function cannotWrite(flag: string, path: string, cause: unknown): GantryError {
  const { code } = cause as NodeJS.ErrnoException;
  return new GantryError('PATH_NOT_FOUND', `Cannot write "${path}" of --${flag}: ${code}`, {
    cause,
    details: { flag },
  });
}
