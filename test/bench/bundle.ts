// An OCI bundle for crun with the isolation that gantry gives: namespaces, limits, seccomp, capabilities, masks.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planContainer } from '../../host/core/plans.ts';
import { createFacts } from '../../host/linux/facts.ts';
import { planRequest } from '../helpers/plan-requests.ts';
import { containerInput } from './input.ts';

export interface Bundle {
  /** Milliseconds of one `crun run`. */
  run(): number;
  /** Runs a second, with so many in flight. */
  rate(total: number, inFlight: number): number;
  close(): void;
}

const facts = await createFacts()();

export function prepareBundle(tree: string): Bundle {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bundle-'));
  const { spec } = planContainer(
    planRequest(facts, (request) => {
      request.container.host = containerInput('none').host;
      request.container.command = ['true'];
      request.paths = { ...request.paths, hosts: '', hostname: '', resolvConf: '' };
    }),
  );
  const linux = spec.linux as { cgroupsPath: string; namespaces: { type: string }[] };
  // crun 1.8 knows neither this version of the specification nor time namespaces.
  linux.namespaces = linux.namespaces.filter(({ type }) => type !== 'time');
  /** A directory of its own, for a cgroup belongs to one container at a time. */
  const makeBundle = (name: string): string => {
    const path = join(directory, name);
    mkdirSync(path);
    symlinkSync(tree, join(path, 'rootfs'));
    linux.cgroupsPath = `/gantry-bench-${process.pid}-${name}`;
    const config = { ...spec, linux, ociVersion: '1.0.2', root: { path: 'rootfs', readonly: false } };
    writeFileSync(join(path, 'config.json'), JSON.stringify(config));
    return path;
  };
  const bundle = makeBundle('single');
  let count = 0;
  const crun = (path: string, name: string): string =>
    `crun --root ${directory}/state --cgroup-manager=cgroupfs run --bundle ${path} ${name}`;
  return {
    run() {
      const name = `bench-${process.pid}-${count++}`;
      // The shell's own clock, so that neither its start nor this process's is counted.
      const script = `a=$EPOCHREALTIME; ${crun(bundle, name)} || exit 1; b=$EPOCHREALTIME; echo $a $b`;
      const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`crun: ${stderr}`);
      const [before = 0, after = 0] = stdout.trim().split(' ').map(Number);
      return (after - before) * 1000;
    },
    rate(total, inFlight) {
      const workers = Array.from({ length: inFlight }, (_, worker) => {
        const path = makeBundle(`worker-${worker}`);
        const turns = Math.ceil(total / inFlight);
        return `for i in $(seq ${turns}); do ${crun(path, `rate-${process.pid}-${worker}-$i`)} || exit 1; done &`;
      });
      const script = `a=$EPOCHREALTIME; ${workers.join(' ')} wait; b=$EPOCHREALTIME; echo $a $b`;
      const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
      if (status !== 0 || stderr !== '') throw new Error(`crun: ${stderr}`);
      const [before = 0, after = 0] = stdout.trim().split(' ').map(Number);
      return total / (after - before);
    },
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}
