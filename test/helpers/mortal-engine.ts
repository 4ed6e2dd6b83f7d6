// An engine that is killed and started again while clients go on asking it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { enginePaths } from '../../host/paths.ts';
import { type Installation, processesOf } from './cli.ts';
import { type Answer, engineCall } from './engine-call.ts';
import { leftovers } from './leftovers.ts';

export interface MortalEngine {
  /** Resolves when it answers. @param program gantry's command line; default: what was built. */
  start(program?: string): Promise<void>;
  kill(): Promise<void>;
  /** Somebody else has killed it. */
  hasDied(): boolean;
  /** Undefined where the engine died before its answer was whole. */
  call(method: string, path: string, body?: object): Promise<Answer | undefined>;
  /** The same with a body as it is. */
  send(method: string, path: string, body?: Buffer): Promise<Answer | undefined>;
  /** The same, asked again until an engine answers. For what changes nothing. */
  ask(path: string): Promise<Answer>;
  /** Ends it as a user does, with SIGTERM. */
  close(): Promise<void>;
}

/** @param before arguments of node(1) in front of the program. */
export function mortalEngine({ dataRoot, env }: Installation, before: string[] = []): MortalEngine {
  let child: ChildProcess | undefined;
  let up = false;
  const call: MortalEngine['call'] = async (method, path, body) => {
    const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    return send(method, path, sent);
  };
  const send: MortalEngine['send'] = async (method, path, body) => {
    const answer = await engineCall(dataRoot, method, path, body).catch(() => undefined);
    return answer === undefined || answer.status === 0 ? undefined : answer;
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = child!;
    child = undefined;
    up = false;
    const gone = once(ending, 'exit');
    ending.kill(signal);
    await gone;
  };
  return {
    async start(program = join(import.meta.dirname, '../../dist/cli/main.js')) {
      let said = '';
      const started = spawn(process.execPath, [...before, program, 'serve'], {
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child = started;
      started.stderr.on('data', (chunk: Buffer) => {
        said += chunk;
      });
      while ((await call('GET', '/_ping'))?.status !== 200) {
        if (started.exitCode !== null) throw new Error(`The engine did not start: ${said}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      up = true;
    },
    hasDied: () => child?.signalCode === 'SIGKILL',
    kill: () => end('SIGKILL'),
    call,
    send,
    async ask(path) {
      for (;;) {
        const answer = up ? await call('GET', path) : undefined;
        if (answer !== undefined) return answer;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    close: () => end('SIGTERM'),
  };
}

/**
 * Sentences about what is left of an engine that has ended after everything was removed.
 * @param ids of containers and networks.
 */
export function remains({ dataRoot }: Installation, ids: string[]): string[] {
  const { memoryRoot } = enginePaths(dataRoot);
  const places = ['containers', 'volumes', 'networks', 'trash', 'ingest'].map((name) => join(dataRoot, name));
  const files = [...places, join(memoryRoot, 'c')].flatMap((place) =>
    existsSync(place) ? readdirSync(place).map((name) => join(place, name)) : [],
  );
  const temporary = readdirSync(dataRoot)
    .filter((name) => /\.new$|^engine\.lock/.test(name))
    .concat(
      existsSync(join(dataRoot, 'layers')) ? readdirSync(join(dataRoot, 'layers')).filter((n) => n.includes('-')) : [],
    );
  const bridges = ids.map((id) => `br-${id.slice(0, 12)}`);
  const links = readdirSync('/sys/class/net').filter((name) => bridges.includes(name));
  const tables = execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => bridges.some((name) => line.endsWith(name)));
  const processes = processesOf(dataRoot).map((pid) => `process ${pid}`);
  return [...files, ...temporary, ...links, ...tables, ...processes, ...leftovers(dataRoot, ids)];
}
