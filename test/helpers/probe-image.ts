// An installation whose image "box" has busybox and the probe in it.
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { busyboxTree, makeArchive } from './archives.ts';
import { createInstallation, type Installation, type Result } from './cli.ts';
import { addProbe } from './probe.ts';

export interface ProbeInstallation extends Installation {
  /** `run --rm` without a network. */
  run(...args: string[]): Promise<Result>;
  /** Standard output of the same; it must succeed. */
  box(...args: string[]): Promise<string>;
  /** A container in the background, by name; "--network none" is added. */
  background(name: string, ...args: string[]): Promise<void>;
}

/** @param change what else the image's tree gets. */
export async function createProbeInstallation(change: (tree: string) => void = () => {}): Promise<ProbeInstallation> {
  const installation = createInstallation();
  const tree = busyboxTree();
  addProbe(tree);
  change(tree);
  const archive = makeArchive(tree, 'box:latest');
  await installation.ok('load', '-i', archive);
  rmSync(tree, { recursive: true });
  rmSync(dirname(archive), { recursive: true });
  return {
    ...installation,
    run: (...args) => installation.gantry('run', '--rm', '--network', 'none', ...args),
    box: (...args) => installation.ok('run', '--rm', '--network', 'none', ...args),
    async background(name, ...args) {
      await installation.ok('run', '-d', '--name', name, '--network', 'none', ...args);
    },
  };
}
