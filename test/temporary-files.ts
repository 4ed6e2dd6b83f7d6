// One temporary directory for a whole run of the tests, which goes with it; whoever leaves more than files in it fails the run.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processesOf } from './helpers/cli.ts';
import { bridgesOf, lastingOrphans, orphanedCgroups } from './helpers/orphans.ts';

/** Data roots and sockets that only an engine or executor makes, and removes when it ends as it should. */
const OWN = /^gantry-(e2e-)?[A-Za-z0-9]{6}$/;

export function setup(): () => Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-tests-'));
  // As /tmp: containers of other users bind what lies in it.
  chmodSync(directory, 0o1777);
  const outer = process.env.TMPDIR;
  const before = orphanedCgroups();
  process.env.TMPDIR = directory;

  return async () => {
    if (outer === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = outer;
    const left = [
      ...processesOf(`${directory}/`).map((pid) => `process ${pid}`),
      ...readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(directory))
        .map((line) => `mount ${line.split(' ')[4]}`),
      ...bridgesOf(directory).map((name) => `bridge ${name}`),
      ...(await lastingOrphans(before)),
      // Tests that were skipped leave theirs empty.
      ...readdirSync(directory).filter((name) => OWN.test(name) && readdirSync(join(directory, name)).length > 0),
    ];
    if (left.length > 0) throw new Error(`The tests left in ${directory}: ${left.join(', ')}`);
    rmSync(directory, { recursive: true, force: true });
  };
}
