// Starts this user's engine in the background when a command needs it and nobody listens.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { GantryError } from '../errors.ts';
import { enginePaths } from '../paths.ts';

const DEADLINE_MS = 15_000;
const POLL_MS = 4;
const LOG_SHOWN = 2000;
/**
 * What passes through an engine is short-lived: a small nursery is enough, and all that it keeps at rest (MiB). The buffers of a
 * pull start collection after collection of a heap so small that waking threads for it costs more than they save.
 */
const HEAP = ['--max-semi-space-size=2', '--single-threaded-gc'];

/**
 * @param program path of the command line's own entry. @param givenRoot another data root than the environment's.
 * @throws {GantryError} ENGINE_UNREACHABLE with what the engine said.
 */
export async function startEngine(program: string, givenRoot?: string): Promise<void> {
  const { dataRoot, socket } = enginePaths(givenRoot);
  const log = join(dataRoot, 'engine.log');
  let file: number;
  try {
    mkdirSync(dataRoot, { recursive: true, mode: 0o700 });
    file = openSync(log, 'w', 0o600);
  } catch (cause) {
    throw new GantryError(
      'PERMISSION_DENIED',
      `Cannot write to the data root "${dataRoot}": ${(cause as NodeJS.ErrnoException).code}`,
      {
        hint: 'Choose another one: GANTRY_DATA_ROOT=DIRECTORY',
        cause,
      },
    );
  }
  const child = spawn(process.execPath, [...HEAP, '--', program, 'serve', '--idle-exit'], {
    stdio: ['ignore', file, file],
    detached: true,
    cwd: '/',
    ...(givenRoot === undefined ? {} : { env: { ...process.env, GANTRY_DATA_ROOT: dataRoot } }),
  });
  closeSync(file);
  let ended: string | undefined;
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code, signal) => {
    ended ??= `it ended with ${signal ?? `status ${code}`}`;
  });
  child.unref();
  const deadline = Date.now() + DEADLINE_MS;
  let endedAt: number | undefined;
  while (Date.now() < deadline) {
    if (await answers(socket)) return;
    // Another command may have started one at the same time: ours ends then, and the other's answers soon.
    if (ended !== undefined) endedAt ??= Date.now();
    if (endedAt !== undefined && Date.now() - endedAt > 1500) break;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const said = readFileSync(log, 'utf8').slice(-LOG_SHOWN).trim();
  throw new GantryError(
    'ENGINE_UNREACHABLE',
    `Cannot start the engine: ${firstSentence(said) ?? ended ?? 'it does not answer'}`,
    {
      hint: hintOf(said) ?? `Its log is ${log}`,
    },
  );
}

function firstSentence(said: string): string | undefined {
  return /^gantry: (.+)$/m.exec(said)?.[1];
}

function hintOf(said: string): string | undefined {
  return /^Hint: (.+)$/m.exec(said)?.[1];
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
