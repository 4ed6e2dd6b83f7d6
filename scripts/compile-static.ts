// Compiles C files to one static program an architecture: NAME-x86_64, NAME-aarch64.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

const flags = ['-std=gnu11', '-O2', '-static', '-Wall', '-Wextra', '-Werror', '-fstack-protector-strong'];
const native = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** Throws where this machine has no cc; the other architecture is left out where it has no compiler. */
export function compileStatic(name: string, files: string[], target: string, more: string[] = []): void {
  mkdirSync(target, { recursive: true });
  for (const architecture of ['x86_64', 'aarch64']) {
    const compiler = architecture === native ? 'cc' : `${architecture}-linux-gnu-gcc`;
    if (spawnSync(compiler, ['--version'], { stdio: 'ignore' }).error !== undefined) {
      if (architecture === native) throw new Error(`Cannot build ${name}: no cc on this machine (install gcc)`);
      console.log(`No ${compiler}: ${name} for ${architecture} is left out`);
      continue;
    }
    execFileSync(compiler, [...flags, ...more, '-o', join(target, `${name}-${architecture}`), ...files], {
      stdio: 'inherit',
    });
  }
}
