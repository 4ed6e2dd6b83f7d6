// Writes COMPATIBILITY.md from the routes of the API; `--check` only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Route } from '../host/api/http.ts';
import { allRoutes } from '../host/api/routes.ts';
import { API_VERSION, API_VERSION_MIN } from '../host/api/versions.ts';
import type { Engine } from '../host/engine/engine.ts';

const file = join(import.meta.dirname, '../COMPATIBILITY.md');

const shown = ({ path }: Route): string => path.replace(/:(\w+)\*?/g, '{$1}');

/** What the routes are is known without an engine: only their handlers use one. */
export function compatibilityText(): string {
  const first = new Map<string, Route>();
  for (const route of allRoutes({} as Engine)) {
    const key = `${route.method} ${shown(route)}`;
    if (!first.has(key)) first.set(key, route);
  }
  const rows = [...first.values()].toSorted(
    (a, b) => shown(a).localeCompare(shown(b), 'en') || a.method.localeCompare(b.method, 'en'),
  );
  const done = rows.filter(({ refused }) => refused === undefined).length;
  return [
    '# Docker Engine API',
    '',
    `Versions ${API_VERSION_MIN} to ${API_VERSION}. ${done} operations are carried out, ${rows.length - done} are refused with a reason. Written by`,
    '`scripts/gen-compatibility.ts` from the routes of `host/api/`.',
    '',
    '| Operation | |',
    '|---|---|',
    ...rows.map(
      (route) => `| ${route.method} ${shown(route)} | ${route.refused ? `refused: ${route.refused}` : 'done'} |`,
    ),
    '',
  ].join('\n');
}

export function committedText(): string {
  return readFileSync(file, 'utf8');
}

export function writeCompatibility(): void {
  writeFileSync(file, compatibilityText());
}

if (process.argv[1] === import.meta.filename) {
  if (!process.argv.includes('--check')) writeCompatibility();
  else if (committedText() !== compatibilityText()) {
    console.error('COMPATIBILITY.md is stale: run "npx tsx scripts/gen-compatibility.ts"');
    process.exitCode = 1;
  }
}
