// RUN: a container of the engine on the files so far; what it changes is the layer.
import { writeFileSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { GantryError } from '../errors.ts';
import type { CacheRecord } from '../image/build-cache.ts';
import type { Draft } from '../image/builds.ts';
import { hostPlatform, matchesPlatform } from '../image/image-config.ts';
import { type BuildContext, withContainer } from './build-context.ts';
import { shellOf, workdirOf, wordsOf } from './configuration.ts';
import type { RunInstruction } from './dockerfile/ast.ts';
import { filterLayer } from './files/layer-filter.ts';
import type { LookUp } from './files/layer-draft.ts';
import { prepareMounts } from './run-mounts.ts';
import type { Output } from './shared-work.ts';

export interface Running {
  draft: Draft;
  instruction: RunInstruction;
  /** Of ARGs, which no image keeps. */
  args: string[];
  /** Of proxies, which no key knows, either. */
  proxies: string[];
  lookUp: LookUp;
  draftOf(name: string): Promise<Draft>;
  output: Output;
  started(containerId: string): void;
}

/** Program and arguments; those of a script are its path. */
export function commandOf({ command }: RunInstruction, { image: { config } }: Draft): string[] {
  return command.form === 'script' ? [SCRIPT] : wordsOf(command, config);
}

const SCRIPT = '/dev/pipes/script';

/** For messages and the history, as docker writes it. */
export function commandText({ command }: RunInstruction, { image: { config } }: Draft): string {
  if (command.form === 'script') return [...shellOf(config), `<<${command.name}`].join(' ');
  return wordsOf(command, config).join(' ');
}

export async function run(
  build: BuildContext,
  { draft, instruction, args, proxies, lookUp, draftOf, output, started }: Running,
  store: (tar: AsyncIterable<Uint8Array>) => Promise<CacheRecord>,
): Promise<CacheRecord> {
  const { engine, request, signal, epoch } = build;
  const { config, platform } = draft.image;
  const mounts = await prepareMounts(build, instruction.mounts, (target) => workdirOf(config, target), draftOf);
  try {
    if (instruction.command.form === 'script') addScript(build, instruction.command.content, mounts.host.mounts);
    const wanted = {
      draft,
      command: commandOf(instruction, draft),
      env: [...args, ...proxies, ...mounts.env],
      host: {
        ...mounts.host,
        networkMode: networkOf(instruction, request.network),
        extraHosts: request.extraHosts,
        ulimits: request.ulimits,
        resources: request.resources,
        cgroupParent: request.cgroupParent,
        ...(request.shmSize ? { shmSize: request.shmSize } : {}),
      },
    };
    return await withContainer(build, wanted, async (container) => {
      const ended = listen(container, output);
      const exit = container.wait('next-exit');
      const end = (): void => void engine.kill(container, 'SIGKILL').catch(() => {});
      signal.throwIfAborted();
      started(container.record.id);
      await engine.start(container).catch((error: unknown) => {
        throw matchesPlatform(platform, hostPlatform()) ? error : cannotExecute(draft, error);
      });
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
      const code = await exit;
      signal.removeEventListener('abort', end);
      await Promise.all([ended, container.settled]);
      signal.throwIfAborted();
      if (code !== 0) throw failed(instruction, draft, code, container.record.state.oomKilled);
      return store(
        filterLayer(engine.images.builds.pack(container.files.upper), {
          stubs: stubsOf(mounts.targets, lookUp),
          latest: epoch,
        }),
      );
    });
  } finally {
    await mounts.release();
  }
}

/** Output by whole characters. */
function listen(container: Parameters<Parameters<typeof withContainer>[2]>[0], output: Output): Promise<void> {
  const decoders = { stdout: new StringDecoder(), stderr: new StringDecoder() };
  return new Promise((resolve) => {
    const sink = {
      output(stream: 'stdout' | 'stderr', data: Uint8Array): void {
        const text = decoders[stream].write(Buffer.from(data));
        if (text !== '') output(stream, text);
      },
      end(): void {
        for (const stream of ['stdout', 'stderr'] as const) {
          const rest = decoders[stream].end();
          if (rest !== '') output(stream, rest);
        }
        resolve();
      },
    };
    container.attach(sink, false);
  });
}

function networkOf({ network }: RunInstruction, given: string): string {
  const mode = network === 'default' ? given : network;
  return mode === '' || mode === 'default' ? 'bridge' : mode;
}

function addScript({ scratch }: BuildContext, content: string, mounts: { push(mount: object): number }): void {
  const path = scratch.path('script');
  writeFileSync(path, content, { mode: 0o755, flag: 'wx' });
  mounts.push({ type: 'bind', source: path, target: SCRIPT, readOnly: true });
}

/** Mount points that the layers below do not have, with the directories above them. */
function stubsOf(targets: string[], lookUp: LookUp): Set<string> {
  const stubs = new Set<string>();
  for (const target of targets) {
    const parts = target.split('/').filter(Boolean);
    for (let length = parts.length; length > 0; length--)
      if (lookUp(parts.slice(0, length - 1), parts[length - 1]!) === undefined)
        stubs.add(`/${parts.slice(0, length).join('/')}`);
  }
  return stubs;
}

function failed(instruction: RunInstruction, draft: Draft, code: number, oomKilled: boolean): GantryError {
  const text = `The command '${commandText(instruction, draft)}' returned a non-zero code: ${code}`;
  return new GantryError('BUILD_FAILED', text, {
    hint: oomKilled ? 'It ran out of memory: give the build more with -m' : undefined,
    details: { exitCode: code },
  });
}

function cannotExecute({ image: { platform } }: Draft, cause: unknown): GantryError {
  const { os, architecture } = hostPlatform();
  return new GantryError(
    'UNSUPPORTED',
    `Cannot run a program of ${platform.os}/${platform.architecture} on ${os}/${architecture}: ${(cause as Error).message}`,
    {
      hint: 'Let RUN work in a stage of "FROM --platform=$BUILDPLATFORM", or register an emulator with binfmt_misc',
      cause,
    },
  );
}
