// Bridges of engines whose data root is gone: no engine will come back for them.
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BRIDGE_ALIAS } from '../core/network-plans.ts';

/** Names of those that nothing is plugged into. @param interfaces a directory as /sys/class/net. */
export function orphanedBridges(interfaces = '/sys/class/net'): string[] {
  return readdirSync(interfaces).filter((name) => {
    try {
      const alias = readFileSync(join(interfaces, name, 'ifalias'), 'utf8').replace(/\n$/, '');
      if (!alias.startsWith(BRIDGE_ALIAS)) return false;
      return isGone(alias.slice(BRIDGE_ALIAS.length)) && readdirSync(join(interfaces, name, 'brif')).length === 0;
    } catch {
      return false; // It has just gone.
    }
  });
}

/** Not: cannot be looked at. */
function isGone(path: string): boolean {
  try {
    lstatSync(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
