// Cgroups whose supervisor is gone: what its name on them says (trusted.gantry), which Node itself cannot read.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { BRIDGE_ALIAS } from '../../host/core/network-plans.ts';

const script = `
import os, sys
own = os.stat('/proc/self/ns/pid').st_ino
for hierarchy in os.listdir('/sys/fs/cgroup'):
    parent = f'/sys/fs/cgroup/{hierarchy}/gantry' if hierarchy != 'gantry' else '/sys/fs/cgroup/gantry'
    for name in os.listdir(parent) if os.path.isdir(parent) else []:
        path = f'{parent}/{name}'
        try:
            pid, namespace = os.getxattr(path, 'trusted.gantry').split()
            if int(namespace) == own and 'gantry-super' not in (open(f'/proc/{int(pid)}/comm').read()):
                print('dead', path)
        except FileNotFoundError:
            if os.path.isdir(path): print('dead', path)
        except OSError:
            try:
                if not open(f'{path}/cgroup.procs').read(): print('nameless', path)
            except OSError: pass
`;

export interface Orphans {
  /** Their supervisor is gone. */
  dead: string[];
  /** Nobody's name is on them, and nobody is in them. */
  nameless: string[];
}

/** Of every engine of this machine, below the default parent. */
export function orphanedCgroups(): Orphans {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return { dead: [], nameless: [] };
  const found = execFileSync('python3', ['-c', script], { encoding: 'utf8' }).split('\n');
  const of = (kind: string): string[] =>
    found.flatMap((line) => (line.startsWith(`${kind} `) ? line.slice(kind.length + 1) : []));
  return { dead: of('dead'), nameless: of('nameless').filter((path) => /\/(slot-[^/]*|[0-9a-f]{64})$/.test(path)) };
}

/**
 * Cgroups and interfaces that were not there `before` and that nobody comes back for: an engine sweeps up after its own supervisors, others' may
 * be dying at this moment.
 */
export async function lastingOrphans(before: Orphans): Promise<string[]> {
  const known = new Set(all(before));
  let left = all(orphanedCgroups()).filter((path) => !known.has(path));
  for (let tries = 0; left.length > 0 && tries < 10; tries++) {
    await setTimeout(500);
    const now = new Set(all(orphanedCgroups()));
    left = left.filter((path) => now.has(path));
  }
  return left;
}

const all = ({ dead, nameless }: Orphans): string[] => [...dead, ...nameless, ...unplugged()];

/** Host ends of containers' interfaces whose bridge is gone; while a container starts its own is unplugged for a moment. */
function unplugged(): string[] {
  if (!existsSync('/sys/class/net')) return [];
  return readdirSync('/sys/class/net')
    .filter((name) => /^gv[0-9a-f]{12}$/.test(name))
    .map((name) => `/sys/class/net/${name}`)
    .filter((path) => !existsSync(`${path}/master`));
}

/** Bridges of data roots below a directory, and rules of theirs. */
export function bridgesOf(directory: string): string[] {
  if (!existsSync('/sys/class/net')) return [];
  return readdirSync('/sys/class/net').filter((name) => {
    try {
      return readFileSync(`/sys/class/net/${name}/ifalias`, 'utf8').startsWith(`${BRIDGE_ALIAS}${directory}`);
    } catch {
      return false;
    }
  });
}
