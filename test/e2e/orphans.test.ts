// What an engine leaves that was killed and whose data root is gone: the next engine of this machine removes it.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, processesOf, until } from '../helpers/cli.ts';
import { bridgesOf } from '../helpers/orphans.ts';
import { layerMounts } from '../helpers/layer-mounts.ts';
import { leftovers } from '../helpers/leftovers.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('what nobody comes back for', () => {
  const here = createInstallation();
  const lost = createInstallation();

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await lost.ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('goes with the next engine, wherever its data root is', async () => {
    await lost.ok('network', 'create', 'own');
    const ids = [
      await lost.ok('run', '-d', '--network', 'own', 'box', 'sleep', '1000'),
      await lost.ok('run', '-d', '-p', '0:80', 'box', 'sleep', '1000'),
    ];
    expect(bridgesOf(lost.dataRoot)).toHaveLength(2);
    // Engine, executor, supervisors, launchers and containers at once, and every file: as nothing but a machine that is ill does.
    for (const pid of processesOf(lost.dataRoot)) process.kill(pid, 'SIGKILL');
    await until(() => processesOf(lost.dataRoot).length === 0, 'every process to end');
    for (const { place } of layerMounts(lost.dataRoot)) execFileSync('umount', [place]);
    rmSync(lost.dataRoot, { recursive: true });
    expect(leftovers(lost.dataRoot, ids)).not.toEqual([]);

    await here.ok('ps');
    const left = (): string[] => leftovers(lost.dataRoot, ids);
    await until(() => left().length === 0, 'nothing to be left').catch(() => {});
    expect(left()).toEqual([]);
  });
});
