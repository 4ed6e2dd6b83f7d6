// Whether mounts can propagate between a bind's source and the container: only where the host's mount there is shared.
import { readFileSync, realpathSync } from 'node:fs';
import { GantryError } from '../../errors.ts';

/** mountinfo writes blanks and backslashes as octal (proc_pid_mountinfo(5)). */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Every place that something, or a file system of this type, is mounted on. */
export function mountPoints(mountinfo: string, type?: string): string[] {
  return mountinfo
    .split('\n')
    .filter((line) => type === undefined || line.includes(` - ${type} `))
    .map((line) => unescaped(line.split(' ')[4] ?? ''));
}

/** The mount that a path lies in: its place, and its optional fields such as "shared:7" and "master:3". */
export function mountOf(path: string, mountinfo: string): { point: string; fields: string[] } {
  let found = { point: '/', fields: [] as string[] };
  for (const line of mountinfo.split('\n')) {
    const words = line.split(' ');
    const point = unescaped(words[4] ?? '');
    const inside = point === '/' || path === point || path.startsWith(`${point}/`);
    // Of two mounts on one place the later covers the earlier.
    if (point !== '' && inside && point.length >= found.point.length)
      found = { point, fields: words.slice(6, words.indexOf('-', 6)) };
  }
  return found;
}

/** @throws {GantryError} INVALID_ARGUMENT where a shared or slave bind would silently be a private one, as docker refuses it. */
export function checkPropagation(source: string, propagation: string): void {
  const wanted = propagation.replace(/^r/, '');
  if (wanted !== 'shared' && wanted !== 'slave') return;
  const { point, fields } = mountOf(realpathSync(source), readFileSync('/proc/self/mountinfo', 'utf8'));
  const has = (name: string): boolean => fields.some((field) => field.startsWith(`${name}:`));
  if (has('shared') || (wanted === 'slave' && has('master'))) return;
  throw new GantryError(
    'INVALID_ARGUMENT',
    `Cannot bind "${source}" with propagation ${propagation}: path ${source} is mounted on ${point} but it is not a ${wanted === 'shared' ? 'shared' : 'shared or slave'} mount`,
    { hint: `Share it first: mount --make-rshared ${point}` },
  );
}
