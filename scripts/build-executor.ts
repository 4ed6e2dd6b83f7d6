// Builds the executor, static, for this machine with its cc, and for the other architecture where a cross compiler is.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compileStatic } from './compile-static.ts';

const root = join(import.meta.dirname, '..');
const source = join(root, 'host/linux/executor');
const files = readdirSync(source)
  .filter((file) => file.endsWith('.c'))
  .map((file) => join(source, file));
compileStatic('gantry-executor', files, join(root, 'dist/executor'));
