// The same OCI spec run by other runtimes: runc and crun on a bundle, in a private mount namespace.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Runtime = 'runc' | 'crun' | 'gantry-runtime';

/** As it was built. */
export const runtimeProgram = join(import.meta.dirname, '../../dist/runtime/gantry-runtime');

export function whyNoRuntimes(): string {
  const missing = ['runc', 'crun'].filter((name) => spawnSync(name, ['--version']).error !== undefined);
  const reason = missing.length === 0 ? '' : `${missing.join(' and ')} not installed`;
  if (reason !== '') console.log(`Runtimes are not compared: ${reason}`);
  return reason;
}

export interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

let count = 0;

/** Runs a spec to its end. @param tree the root file system; the container may write to it. */
export function runBundle(runtime: Runtime, spec: Record<string, unknown>, tree: string): Ran {
  const directory = mkdtempSync(join(tmpdir(), `gantry-${runtime}-`));
  const name = `compare-${process.pid}-${count++}`;
  mkdirSync(join(directory, 'rootfs'));
  writeFileSync(join(directory, 'config.json'), JSON.stringify(adapted(spec, `/gantry-compare/${name}`)));
  // crun takes a hybrid host for v2 only: it does not look where no v2 tree is mounted. Private to this mount namespace.
  const hide = existsSync('/sys/fs/cgroup/unified') && runtime === 'crun' ? 'umount /sys/fs/cgroup/unified && ' : '';
  const cgroups = runtime === 'crun' ? '--cgroup-manager=cgroupfs' : '';
  const bind = `mount --bind ${tree} ${directory}/rootfs && `;
  const script = `${hide}${bind}exec ${runtime === 'gantry-runtime' ? runtimeProgram : runtime} --root ${directory}/state ${cgroups} run --bundle ${directory} ${name} </dev/null`;
  const { status, stdout, stderr } = spawnSync('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script], {
    encoding: 'utf8',
  });
  rmSync(directory, { recursive: true, force: true });
  return { status: status ?? -1, stdout, stderr };
}

/** Removes the cgroups' parent, in every hierarchy. */
export function removeCompared(): void {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [, , , , point = ''] = line.split(' ');
    const parent = join(point, 'gantry-compare');
    if (/ - cgroup2? /.test(line) && existsSync(parent)) rmdirSync(parent);
  }
}

/** The spec in words that the Debian versions know: runc 1.1 and crun 1.8 have no time namespaces. */
function adapted(spec: Record<string, unknown>, cgroupsPath: string): object {
  const linux = spec.linux as { namespaces: { type: string }[] };
  return {
    ...spec,
    ociVersion: '1.0.2',
    root: { ...(spec.root as object), path: 'rootfs' },
    linux: { ...linux, cgroupsPath, namespaces: linux.namespaces.filter(({ type }) => type !== 'time') },
  };
}
