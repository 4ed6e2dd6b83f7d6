// What a guest needs to run the engine itself: Node with its libraries, the built gantry with what it imports.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { InitramfsEntry } from '../../vm-images/initramfs.ts';

const root = join(import.meta.dirname, '../..');

/** For a guest of this machine's own architecture. */
export function engineFiles(): InitramfsEntry[] {
  return [...nodeFiles(), ...gantryFiles()];
}

const fileAt = (path: string, from = `/${path}`): InitramfsEntry => ({ path, file: readFileSync(from) });

/** ldd(1): "libm.so.6 => /lib/…/libm.so.6 (0x…)" and "/lib64/ld-linux-x86-64.so.2 (0x…)". */
function nodeFiles(): InitramfsEntry[] {
  const program = realpathSync(process.execPath);
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  return [fileAt('bin/node', program), ...[...libraries].map(([, path]) => fileAt(path!.slice(1)))];
}

function gantryFiles(): InitramfsEntry[] {
  const modules = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root, encoding: 'utf8' });
  const directories = modules.split('\n').filter((path) => path.includes('node_modules'));
  const own = ['dist', 'package.json'].map((name) => join(root, name));
  return [...own, ...directories].flatMap(filesBelow).map((path) => fileAt(`gantry/${relative(root, path)}`, path));
}

function filesBelow(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
