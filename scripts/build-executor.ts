// Builds the executor, static, for this machine with its cc, and for the other architecture where a cross compiler is.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const source = join(root, 'host/linux/executor');
const target = join(root, 'dist/executor');
const files = readdirSync(source)
  .filter((file) => file.endsWith('.c'))
  .map((file) => join(source, file));
const flags = ['-std=gnu11', '-O2', '-static', '-Wall', '-Wextra', '-Werror', '-fstack-protector-strong'];
const native = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

mkdirSync(target, { recursive: true });
for (const architecture of ['x86_64', 'aarch64']) {
  const compiler = architecture === native ? 'cc' : `${architecture}-linux-gnu-gcc`;
  if (spawnSync(compiler, ['--version'], { stdio: 'ignore' }).error !== undefined) {
    if (architecture === native) throw new Error('Cannot build the executor: no cc on this machine (install gcc)');
    console.log(`No ${compiler}: the executor for ${architecture} is left out`);
    continue;
  }
  execFileSync(compiler, [...flags, '-o', join(target, `gantry-executor-${architecture}`), ...files], {
    stdio: 'inherit',
  });
}
