// One engine a data root: a lock file with the owner's pid and start time, taken over only from a process that is gone.
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GantryError } from '../../errors.ts';

const ATTEMPTS = 5;

/** @returns the way to unlock. @throws {GantryError} IN_USE where another engine holds it. */
export function lockDataRoot(dataRoot: string): () => void {
  mkdirSync(dataRoot, { recursive: true, mode: 0o700 });
  const path = join(dataRoot, 'engine.lock');
  const own = `${path}.${process.pid}`;
  writeFileSync(own, JSON.stringify({ pid: process.pid, started: startTime(process.pid) }), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        linkSync(own, path); // Fails where the file is there: of two engines one wins.
        clearDead(dataRoot);
        return () => rmSync(path, { force: true });
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
        takeAway(path, dataRoot);
      }
    }
  } finally {
    rmSync(own, { force: true });
  }
  throw new GantryError('IN_USE', `Cannot lock the data root "${dataRoot}": another engine is starting on it`);
}

/** Engines that were killed while they locked leave files of their own. */
function clearDead(dataRoot: string): void {
  for (const name of readdirSync(dataRoot)) {
    const [, pid] = /^engine\.lock\.(?:stale\.)?(\d+)$/.exec(name) ?? [];
    if (pid !== undefined && startTime(Number(pid)) === undefined) rmSync(join(dataRoot, name), { force: true });
  }
}

/** Removes the lock of an owner that is gone. A lock that was replaced while we looked is put back. */
function takeAway(path: string, dataRoot: string): void {
  const seen = read(path);
  const owner = parse(seen);
  if (owner !== undefined && owner.started === startTime(owner.pid))
    throw new GantryError(
      'IN_USE',
      `Cannot lock the data root "${dataRoot}": the engine with pid ${owner.pid} uses it`,
      {
        hint: 'Talk to that engine, or choose another directory with --data-root',
        details: { pid: owner.pid },
      },
    );
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (read(aside) !== seen) {
    try {
      linkSync(aside, path);
    } catch {
      // A third engine has the lock: it will be seen in the next round.
    }
  }
  rmSync(aside, { force: true });
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function parse(text: string): { pid: number; started: string } | undefined {
  try {
    return JSON.parse(text) as { pid: number; started: string };
  } catch {
    return undefined;
  }
}

/** Tells a process from a later one with the same pid: field 22 of proc_pid_stat(5); elsewhere only that it is there. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended, whether or not its parent has looked.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    try {
      process.kill(pid, 0);
      return 'alive';
    } catch {
      return undefined;
    }
  }
}
