// `run` and `create`: the container is made, its image pulled where missing, attached before it starts.
import { existsSync, writeFileSync } from 'node:fs';
import type { Api } from '../../client/api.ts';
import { parseDetachKeys } from '../../detach-keys.ts';
import { GantryError } from '../../errors.ts';
import { type Command, type Context, MANY } from '../command.ts';
import { createBody } from './create-body.ts';
import type { Parsed } from '../flags.ts';
import { hasTag, pullImage } from '../images/pull.ts';
import { containerFlags, runFlags } from './run-flags.ts';
import { followSize, proxySignals, runSession } from './session.ts';

interface Created {
  Id: string;
  Warnings: string[] | null;
}

/** Creates the container; pulls where the engine has no such image. */
async function makeContainer(api: Api, parsed: Parsed, body: Record<string, unknown>): Promise<Created> {
  if (String(body.Image).endsWith('.wasm')) {
    const { isModuleFile, loadModule } = await import('./module-image.ts');
    if (isModuleFile(String(body.Image)))
      return makeContainer(api, parsed, { ...body, Image: await loadModule(api, String(body.Image)) });
  }
  const image = String(body.Image);
  const platform = parsed.value('platform');
  const policy = parsed.value('pull') ?? 'missing';
  if (!['always', 'missing', 'never'].includes(policy))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid pull option: '${policy}': must be one of "always", "missing" or "never"`,
    );
  const cidfile = parsed.value('cidfile');
  if (cidfile !== undefined && existsSync(cidfile))
    throw new GantryError(
      'IN_USE',
      `Container ID file found, make sure the other container is not running or delete ${cidfile}`,
    );
  if (policy === 'always') await pullImage(api, image, platform, parsed.switch('quiet'));
  const create = (): Promise<Created> =>
    api.send('POST', '/containers/create', { query: { name: parsed.value('name'), platform }, body });
  const created = await create().catch(async (error: unknown) => {
    if (!(error instanceof GantryError) || error.code !== 'IMAGE_NOT_FOUND' || policy === 'never') throw error;
    if (!parsed.switch('quiet'))
      process.stderr.write(`Unable to find image '${hasTag(image) ? image : `${image}:latest`}' locally\n`);
    await pullImage(api, image, platform, parsed.switch('quiet'));
    return create();
  });
  if (cidfile !== undefined) writeFileSync(cidfile, created.Id);
  for (const warning of created.Warnings ?? []) process.stderr.write(`WARNING: ${warning}\n`);
  return created;
}

/** Which streams -a, -d and -i attach. */
function attachedStreams(parsed: Parsed): { stdin: boolean; stdout: boolean; stderr: boolean } {
  const given = parsed.list('attach').map((stream) => stream.toLowerCase());
  const unknown = given.find((stream) => !['stdin', 'stdout', 'stderr'].includes(stream));
  if (unknown !== undefined)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid argument "${unknown}" for "-a, --attach": valid streams are STDIN, STDOUT and STDERR`,
    );
  if (parsed.switch('detach')) {
    if (given.length > 0)
      throw new GantryError('INVALID_ARGUMENT', 'Conflicting options: cannot specify both --attach and --detach');
    return { stdin: false, stdout: false, stderr: false };
  }
  if (given.length > 0)
    return { stdin: given.includes('stdin'), stdout: given.includes('stdout'), stderr: given.includes('stderr') };
  return { stdin: parsed.switch('interactive'), stdout: true, stderr: true };
}

export function checkTerminal(parsed: Parsed, attached: boolean): void {
  if (parsed.switch('tty') && parsed.switch('interactive') && attached && !process.stdin.isTTY)
    throw new GantryError('INVALID_ARGUMENT', 'The input device is not a TTY', {
      hint: 'Leave -t out where the input is a pipe or a file',
    });
}

async function runContainer(parsed: Parsed, { api }: Context): Promise<number> {
  const streams = attachedStreams(parsed);
  const detached = parsed.switch('detach');
  checkTerminal(parsed, !detached);
  const detachKeys = parsed.value('detach-keys');
  parseDetachKeys(detachKeys);
  const { Id } = await makeContainer(api, parsed, createBody(parsed, streams, (await api.endpoint()).name));
  const path = `/containers/${Id}`;
  if (detached) {
    await api.send('POST', `${path}/start`).catch(undoCreation(api, parsed, Id));
    process.stdout.write(`${Id}\n`);
    return 0;
  }
  const tty = parsed.switch('tty');
  const { socket } = await api.hijack(`${path}/attach`, { query: { stream: 1, ...streams, detachKeys } });
  const session = runSession(socket, { tty, stdin: streams.stdin, detachKeys });
  const exit = waitFor(api, path, parsed.switch('rm') ? 'removed' : 'next-exit');
  exit.catch(() => {});
  await exit.begun;
  const stopSignals =
    tty || (parsed.has('sig-proxy') && !parsed.switch('sig-proxy')) ? () => {} : proxySignals(api, Id);
  let stopSize = (): void => {};
  try {
    await api.send('POST', `${path}/start`).catch(async (error: unknown) => {
      socket.destroy();
      await session.catch(() => {});
      return undoCreation(api, parsed, Id)(error);
    });
    if (tty) stopSize = followSize(api, path);
    if ((await session) === 'detached') return 0;
    return await exit;
  } finally {
    stopSignals();
    stopSize();
  }
}

/** A container that could not start goes with --rm; the reason is told once. */
function undoCreation(api: Api, parsed: Parsed, id: string): (error: unknown) => Promise<never> {
  return async (error) => {
    if (parsed.switch('rm')) await api.send('DELETE', `/containers/${id}`, { query: { force: 1 } }).catch(() => {});
    throw error;
  };
}

/** The exit status of a container; `begun` resolves once the engine watches. */
export function waitFor(api: Api, path: string, condition: string): Promise<number> & { begun: Promise<void> } {
  const answer = api.open('POST', `${path}/wait`, { query: { condition } });
  const status = answer.then(async (body) => {
    let text = '';
    for await (const chunk of body) text += chunk;
    return (JSON.parse(text) as { StatusCode: number }).StatusCode;
  });
  return Object.assign(status, { begun: answer.then(() => {}) });
}

export const run: Command = {
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  summary: 'Create and run a new container from an image',
  flags: runFlags,
  ordered: true,
  args: [1, MANY],
  run: runContainer,
};

export const create: Command = {
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  summary: 'Create a new container',
  flags: containerFlags,
  ordered: true,
  args: [1, MANY],
  async run(parsed, { api }) {
    const streams = attachedStreams(parsed);
    const { Id } = await makeContainer(api, parsed, createBody(parsed, streams, (await api.endpoint()).name));
    process.stdout.write(`${Id}\n`);
    return 0;
  },
};
