// Builds everything that the clone runs: ABI header, core.wasm, the executor with this machine's cc, and the bundled host.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { writeTypes } from './write-types.ts';

const root = join(import.meta.dirname, '..');
const run = (command: string, ...args: string[]) => execFileSync(command, args, { cwd: root, stdio: 'inherit' });
const node = (...args: string[]) => run(process.execPath, ...args);

rmSync(join(root, 'dist'), { recursive: true, force: true });
for (const config of ['core-asm/asconfig.json', 'core-asm/erofs/asconfig.json'])
  node('node_modules/assemblyscript/bin/asc.js', '--config', config, '--target', 'release');
node('--import', 'tsx', 'scripts/gen-abi-header.ts');
if (process.platform === 'linux') {
  node('--import', 'tsx', 'scripts/build-executor.ts');
  node('--import', 'tsx', 'scripts/build-hello.ts');
}

await build({
  absWorkingDir: root,
  entryPoints: {
    index: 'host/index.ts',
    library: 'host/library.ts',
    vitest: 'host/vitest.ts',
    'share-worker': 'host/vm/share/worker.ts',
  },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  chunkNames: 'chunks/[name]-[hash]',
  plugins: [
    {
      name: 'one-asset-folder',
      setup(context) {
        // Assets sit at dist/ root, whatever chunk asks for them.
        context.onEnd(() => {
          for (const name of ['core.wasm', 'erofs.wasm'])
            copyFileSync(join(root, 'host/core', name), join(root, 'dist', name));
          copyFileSync(join(root, 'host/image/decompress-worker.mjs'), join(root, 'dist/decompress-worker.mjs'));
        });
      },
    },
  ],
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
// What runs a WASI container: its process, and the thread of its program.
await build({
  absWorkingDir: root,
  entryPoints: { 'wasi-runner': 'host/wasi/runner-main.ts', 'wasi-program': 'host/wasi/program.ts' },
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
});
// The command line is one CommonJS file: Node starts it 25 ms sooner than the same code in modules. What a command does not
// need is not evaluated; the engine is loaded from beside it.
const commandLine = await build({
  absWorkingDir: root,
  entryPoints: { main: 'host/cli/main.ts' },
  outdir: 'dist/cli',
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  metafile: true,
  minifyWhitespace: true,
  define: { 'import.meta.url': '__file' },
  banner: { js: "const __file = require('node:url').pathToFileURL(__filename).href;" },
  plugins: [
    {
      name: 'engine-beside',
      setup(context) {
        context.onResolve({ filter: /^(\.\.\/)+index\.ts$/ }, () => ({ path: '../index.js', external: true }));
      },
    },
  ],
});
if ('host/engine/engine.ts' in commandLine.metafile.inputs)
  throw new Error('The engine is in the command line: every command would pay for it');
// The planner that the runtime's front starts, as one file too, and the Node to run it with: callers may have none in their path.
await build({
  absWorkingDir: root,
  entryPoints: { planner: 'host/runtime/planner.ts' },
  outdir: 'dist/runtime',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  minifyWhitespace: true,
  define: { 'import.meta.url': '__file' },
  banner: { js: "const __file = require('node:url').pathToFileURL(__filename).href;" },
});
if (process.platform === 'linux') {
  symlinkSync(process.execPath, join(root, 'dist/runtime/node'));
  symlinkSync(
    `gantry-runtime-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}`,
    join(root, 'dist/runtime/gantry-runtime'),
  );
}
cpSync(join(root, 'host/linux/systemd'), join(root, 'dist/systemd'), { recursive: true });
writeFileSync(join(root, 'dist/cli/package.json'), '{"type":"commonjs"}\n');
chmodSync(join(root, 'dist/cli/main.js'), 0o755);
for (const entry of ['library.ts', 'vitest.ts']) writeTypes(join(root, 'host'), entry, join(root, 'dist/types'));
// So that npx finds the command in the clone itself.
mkdirSync(join(root, 'node_modules/.bin'), { recursive: true });
rmSync(join(root, 'node_modules/.bin/gantry'), { force: true });
symlinkSync('../../dist/cli/main.js', join(root, 'node_modules/.bin/gantry'));
