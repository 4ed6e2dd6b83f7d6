// Builds the program of the embedded image, static, for this machine, and for the other architecture where a cross compiler is.
import { join } from 'node:path';
import { compileStatic } from './compile-static.ts';

const root = join(import.meta.dirname, '..');
compileStatic('hello', [join(root, 'host/image/hello/hello.c')], join(root, 'dist/hello'), ['-Wno-unused-result']);
