// core-asm/abi.ts → host/linux/executor/abi.h; with --check it only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const target = join(root, 'host/linux/executor/abi.h');
const lines = ['// Generated from core-asm/abi.ts by scripts/gen-abi-header.ts. Do not edit.', '#pragma once'];
for (const [, name, value] of readFileSync(join(root, 'core-asm/abi.ts'), 'utf8').matchAll(
  /^export const ([A-Z0-9_]+) = ([^;]+);/gm,
)) {
  lines.push(`#define ABI_${name} ${value}`);
}
const header = `${lines.join('\n')}\n`;

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== header) {
    console.error('host/linux/executor/abi.h is stale: run "npm run build"');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, header);
}
