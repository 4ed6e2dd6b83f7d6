// The package as it is published: unpacked into a project, its types checked, the examples run, nothing held open at their end.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, type Installation, type Result } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const root = join(import.meta.dirname, '../..');

/** Told only by a process that is still there long after the script's last line. */
const EPILOGUE = "\nsetTimeout(() => console.log('held open'), 10_000).unref();\n";

describe.skipIf(whyNoContainers())('the package', () => {
  let here: Installation;
  let project: string;

  beforeAll(() => {
    here = createInstallation();
    project = mkdtempSync(join(tmpdir(), 'gantry-project-'));
    const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project], {
      cwd: root,
      encoding: 'utf8',
    }).trim();
    const modules = join(project, 'node_modules');
    mkdirSync(join(modules, 'gantry'), { recursive: true });
    execFileSync('tar', ['-xf', join(project, packed), '-C', join(modules, 'gantry'), '--strip-components=1']);
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const name of [...Object.keys(dependencies), '@types/node', 'tsx', 'vitest']) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
    }
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
    for (const name of readdirSync(join(root, 'examples')))
      writeFileSync(join(project, name), readFileSync(join(root, 'examples', name), 'utf8') + EPILOGUE);
  });
  afterAll(async () => {
    await here.close();
    rmSync(project, { recursive: true, force: true });
  });

  const node = (...args: string[]): Promise<Result> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, args, { cwd: project, env: here.env, stdio: ['ignore', 'pipe', 'pipe'] });
      const result: Result = { status: -1, stdout: '', stderr: '' };
      child.stdout.on('data', (chunk) => {
        result.stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        result.stderr += chunk;
      });
      child.once('error', reject);
      child.once('close', (code) => resolve({ ...result, status: code ?? -1 }));
    });

  it('has types that the examples are right by, with every library checked', async () => {
    const options = { module: 'nodenext', target: 'es2022', strict: true, noEmit: true, types: ['node'] };
    const lib = ['es2023', 'esnext.disposable', 'dom'];
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { ...options, lib, exactOptionalPropertyTypes: true }, include: ['*.ts'] }),
    );
    writeFileSync(
      join(project, 'wrong.ts'),
      "import { type Container, Engine, untilPort } from 'gantry';\nimport { container, test } from 'gantry/vitest';\nconst it = test.extend<{ web: Container }>({ web: container({ image: 'x', ready: untilPort(80) }) });\nit('x', async ({ web }) => void (await web.port(80)));\nawait (await Engine.connect()).run({ image: 'x', memroy: 1 });\n",
    );
    const { status, stdout } = await node(join(root, 'node_modules/typescript/bin/tsc'), '-p', project);
    rmSync(join(project, 'wrong.ts'));
    expect([status, stdout]).toEqual([2, expect.stringMatching(/^wrong\.ts\(5.*'memroy' does not exist.*\n$/)]);
  });

  it('runs against an engine that it starts, and lets go of it', async () => {
    const { status, stdout, stderr } = await node('--import', 'tsx', 'run.ts');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^exit 0, \d+ lines\n[\s\S]*memory[\s\S]*\nIMAGE_NOT_FOUND\n$/);
    expect(status).toBe(0);
    expect(here.enginePid()).toBeGreaterThan(0);
    process.kill(here.enginePid()!, 'SIGTERM');
    await expect.poll(() => here.enginePid(), { timeout: 10_000 }).toBeUndefined();
  });

  it('runs an engine in its own process, which ends with it', async () => {
    const { status, stdout, stderr } = await node('--import', 'tsx', 'in-process.ts');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^stdout: seccomp .*\nexit 0\ncreate\nstart\ndie\ndestroy\n$/);
    expect(status).toBe(0);
    expect(here.enginePid()).toBeUndefined();
  });

  it('loads no engine before one is opened', () => {
    const dist = join(project, 'node_modules/gantry/dist');
    const loaded = new Map<string, string>();
    const load = (path: string): void => {
      if (loaded.has(path)) return;
      const text = readFileSync(path, 'utf8');
      loaded.set(path, text);
      for (const [, target = ''] of text.matchAll(/^(?:import|\} from) ?"(\.[^"]+)";$/gm))
        load(join(dirname(path), target));
    };
    load(join(dist, 'library.js'));
    const sources = [...loaded.values()].flatMap((text) =>
      [...text.matchAll(/^\/\/ (host\/\S+)$/gm)].map(([, file]) => file),
    );
    expect(sources).toContain('host/errors.ts');
    expect(sources.filter((file) => !/^host\/(sdk|client)\/|^host\/[\w-]+\.ts$/.test(file!))).toEqual([]);
  });
});
