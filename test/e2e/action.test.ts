// The GitHub action: its steps as a runner runs them, here; what they leave is what later steps of a job are given.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

interface Step {
  id: string;
  shell: string;
  run: string;
  env?: Record<string, string>;
}

const root = join(import.meta.dirname, '../..');
const action = parse(readFileSync(join(root, 'action.yml'), 'utf8')) as {
  inputs: Record<string, { default: string }>;
  runs: { using: string; steps: Step[] };
};

describe.skipIf(whyNoContainers())('the action', () => {
  const here = createInstallation();
  const work = mkdtempSync(join(tmpdir(), "gantry-it's a runner-"));
  const file = (name: string): string => join(work, name);
  const inputs: Record<string, string> = { 'data-root': here.dataRoot };
  const step = (
    id: string,
    env: NodeJS.ProcessEnv = {},
  ): [string, string[], { env: NodeJS.ProcessEnv; encoding: 'utf8' }] => {
    const { run, env: own = {} } = action.runs.steps.find((one) => one.id === id)!;
    const given = Object.entries(own).map(([name, value]) => [
      name,
      value.replace(/\$\{\{ inputs\.([\w-]+) \}\}/g, (_whole, input: string) => inputs[input]!),
    ]);
    const runner = {
      RUNNER_OS: 'Linux',
      RUNNER_TEMP: work,
      GITHUB_ACTION_PATH: root,
      GITHUB_PATH: file('path'),
      GITHUB_OUTPUT: file('output'),
      GITHUB_ENV: file('env'),
    };
    // As runners start bash.
    const words = ['--noprofile', '--norc', '-eo', 'pipefail', '-c', run];
    return ['bash', words, { env: { ...here.env, ...runner, ...Object.fromEntries(given), ...env }, encoding: 'utf8' }];
  };

  beforeAll(() => {
    mkdirSync(work, { recursive: true });
    for (const name of ['path', 'output', 'env']) writeFileSync(file(name), '');
  });
  afterAll(async () => {
    await here.close();
    rmSync(work, { recursive: true });
  });

  it('has bash in each step, and no input inside a script', () => {
    expect(action.runs.using).toBe('composite');
    for (const { shell, run } of action.runs.steps) {
      expect(shell).toBe('bash');
      expect(run).not.toContain('${{');
    }
  });

  it('refuses runners on which there are no containers', () => {
    const { status, stdout } = spawnSync(...step('build', { RUNNER_OS: 'macOS' }));
    expect([status, stdout]).toEqual([1, expect.stringContaining('::error::Cannot set gantry up on macOS')]);
    expect(spawnSync(...step('build')).status).toBe(0);
  });

  it('puts a command into the path that runs containers, and starts an engine for docker clients', () => {
    const placed = spawnSync(...step('place'));
    expect([placed.status, placed.stderr]).toEqual([0, '']);
    const program = /^program=(.*)$/m.exec(readFileSync(file('output'), 'utf8'))![1]!;
    expect(readFileSync(file('path'), 'utf8').trim()).toBe(join(program, '..'));
    const served = spawnSync(...step('serve'));
    expect([served.status, served.stdout]).toEqual([0, '']);
    const { GANTRY_DATA_ROOT: _root, ...rest } = here.env;
    const [, DOCKER_HOST] = /^DOCKER_HOST=(unix:.*)$/m.exec(readFileSync(file('env'), 'utf8'))!;
    const env = { ...rest, DOCKER_HOST };
    const said = spawnSync(program, ['run', '--rm', '--network', 'none', 'gantry/hello'], { env, encoding: 'utf8' });
    expect([said.status, said.stderr]).toEqual([0, '']);
    expect(existsSync(join(here.dataRoot, 'engine.lock'))).toBe(true);
    expect(existsSync(file('gantry.sock'))).toBe(true);
  });
});
