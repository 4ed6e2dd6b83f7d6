// The static probe program: compiled into a tree, and what it reports taken apart.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

const source = join(import.meta.dirname, '../fixtures/probe/probe.c');
const flags = ['-D_GNU_SOURCE', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-static', '-Os'];

/** Empty where it can be compiled. */
export function whyNoProbe(): string {
  const reason = spawnSync('cc', ['--version']).error === undefined ? '' : 'there is no cc for the probe';
  if (reason !== '') console.log(`Nothing is probed: ${reason}`);
  return reason;
}

/** Compiles the program into a tree, as /bin/probe. */
export function addProbe(tree: string): void {
  mkdirSync(join(tree, 'bin'), { recursive: true });
  execFileSync('cc', [...flags, '-o', join(tree, 'bin/probe'), source], { stdio: 'inherit' });
}

/** "== name" sections of a report. */
export function sectionsOf(output: string): Record<string, string[]> {
  const sections: Record<string, string[]> = {};
  let current: string[] = [];
  for (const line of output.split('\n')) {
    const [, name] = /^== (.+)$/.exec(line) ?? [];
    if (name === undefined) {
      if (line !== '') current.push(line);
    } else {
      current = [];
      sections[name] = current;
    }
  }
  return sections;
}

/** A mount as its table shows it, without what differs from boot to boot. */
export interface MountLine {
  target: string;
  type: string;
  source: string;
  options: string[];
  superOptions: string[];
  propagation: string;
}

/** proc_pid_mountinfo(5). */
export function mountLine(line: string): MountLine {
  const [own = '', behind = ''] = line.split(' - ');
  const [, , , , target = '', options = '', ...optional] = own.split(' ');
  const [type = '', source = '', superOptions = ''] = behind.split(' ');
  const sorted = (text: string): string[] => text.split(',').sort();
  const propagation = optional.map((field) => field.replace(/:\d+/, '')).join(' ') || 'private';
  return { target, type, source, options: sorted(options), superOptions: sorted(superOptions), propagation };
}
