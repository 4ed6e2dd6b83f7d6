// Builds the executor and the runtime's front, static, for this machine with its cc, and for the other architecture where a cross compiler is.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compileStatic } from './compile-static.ts';

const root = join(import.meta.dirname, '..');
const sourcesOf = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith('.c'))
    .map((file) => join(root, folder, file));
const executor = sourcesOf('host/linux/executor');
compileStatic('gantry-executor', executor, join(root, 'dist/executor'));
const shared = executor.filter((file) => !file.endsWith('/main.c'));
compileStatic('gantry-runtime', [...shared, ...sourcesOf('host/linux/runtime')], join(root, 'dist/runtime'));
