// What containers may leave on a machine that ended without their clean-up: mounts, cgroups, interfaces, rules.
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { bridgeName } from '../../host/engine/network/bridge.ts';
import { bridgesOf } from './orphans.ts';

/** Sentences about what is still there of a data root and its containers; empty where nothing is. */
export function leftovers(dataRoot: string, ids: string[]): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(dataRoot));
  const cgroups = execFileSync('find', ['/sys/fs/cgroup', '-xdev', '-maxdepth', '4', '-type', 'd'], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter((path) => ids.some((id) => path.includes(id)));
  const bridge = bridgeName(dataRoot);
  const links = readdirSync('/sys/class/net').filter((name) => name === bridge);
  return [...mounts, ...cgroups, ...links, ...bridgesOf(dataRoot), ...tables(bridge)];
}

function tables(bridge: string): string[] {
  const listed = spawnSync('nft', ['list', 'tables'], { encoding: 'utf8' }).stdout ?? '';
  return listed.split('\n').filter((line) => line.endsWith(` ${bridge}`));
}
