// Docker's own client against an installation, as a person types it in a shell; and tables of what must come out.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from './archives.ts';
import { createInstallation, type Result } from './cli.ts';
import { whyNoContainers } from './requirements.ts';

/** Debian's client is older and does where docker's own is absent. */
const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);

/** Empty where docker's client can be run here. */
export function whyNoDockerClient(): string {
  if (client === undefined) console.log('The docker client is not tested: it is not installed');
  return client === undefined ? 'no docker client' : whyNoContainers();
}

export interface Outcome {
  /** Standard output without its last newline. */
  out?: string | RegExp;
  err?: string | RegExp;
  /** 0 where it is left out. */
  status?: number;
}

/** What is shown, the shell's line, what must come out: a text is the whole of standard output. */
export type Check = [what: string, script: string, expected: string | RegExp | Outcome];

export interface DockerShell {
  /** What a shell sees: `docker` in its path, an empty home, the engine as DOCKER_HOST. */
  env: NodeJS.ProcessEnv;
  sh(script: string): Promise<Result>;
  /** Standard output of what must succeed, without the last newline. */
  ok(script: string): Promise<string>;
  /** One test a row. */
  checks(rows: Check[]): void;
}

const LIMIT_MS = 60_000;

/** For whoever writes checks: another engine, such as dockerd, which they are to hold for as well. It is emptied. */
const other = process.env.CHECKED_DOCKER_HOST;

/** An engine with the image "box" for the tests of the block around; it goes with them. */
export function dockerShell(config: object = {}): DockerShell {
  const here = other === undefined ? createInstallation() : undefined;
  const home = mkdtempSync(join(tmpdir(), 'gantry-home-'));
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...here?.env,
    HOME: home,
    PATH: `${home}:${process.env.PATH}`,
    DOCKER_HOST: here === undefined ? other : `unix://${here.socket}`,
  };
  const sh = (script: string): Promise<Result> => run(script, { env, cwd: home });
  const ok = async (script: string): Promise<string> => {
    const { status, stdout, stderr } = await sh(script);
    if (status !== 0) throw new Error(`${script}\nstatus ${status}\n${stdout}${stderr}`);
    return stdout.replace(/\n$/, '');
  };

  beforeAll(async () => {
    symlinkSync(client!, join(home, 'docker'));
    await here?.ok('info');
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest', { config });
    await ok(`docker load -qi ${archive}`);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    if (here === undefined) await sh('docker rm -f $(docker ps -aq); docker system prune -af --volumes');
    else await here.close();
    rmSync(home, { recursive: true, force: true });
  });

  return {
    env,
    sh,
    ok,
    checks: (rows) =>
      it.each(rows)('%s', async (_what, script, expected) => {
        const wanted = typeof expected === 'string' || expected instanceof RegExp ? { out: expected } : expected;
        const { status, stdout, stderr } = await sh(script);
        const seen = `${script}\n--- stdout\n${stdout}--- stderr\n${stderr}`;
        expect(status, seen).toBe(wanted.status ?? 0);
        matches(stdout.replace(/\n$/, ''), wanted.out, seen);
        matches(stderr.replace(/\n$/, ''), wanted.err, seen);
      }),
  };
}

function matches(text: string, wanted: string | RegExp | undefined, seen: string): void {
  if (typeof wanted === 'string') expect(text, seen).toBe(wanted);
  else if (wanted !== undefined) expect(text, seen).toMatch(wanted);
}

/** Runs a script of sh; what takes a minute is ended with all that it started. */
function run(script: string, options: { env: NodeJS.ProcessEnv; cwd: string }): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', script], { ...options, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const result: Result = { status: -1, stdout: '', stderr: '' };
    const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), LIMIT_MS);
    child.stdout.on('data', (chunk) => {
      result.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      result.stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ ...result, status: code ?? -1 });
    });
  });
}
