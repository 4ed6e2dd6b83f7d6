// `attach` and `start`: to a container that is there already.
import type { Api } from '../../client/api.ts';
import { GantryError } from '../../errors.ts';
import { type Command, MANY } from '../command.ts';
import { forEachName } from '../each.ts';
import type { Parsed } from '../flags.ts';
import { waitFor } from './run.ts';
import { followSize, proxySignals, runSession } from './session.ts';

interface Inspected {
  Id: string;
  Config: { Tty: boolean; OpenStdin: boolean };
  State: { Running: boolean; Paused: boolean };
}

const CHECKPOINTS =
  'containers are not written to disk as they run: that is work for CRIU, which gantry does not drive';

const detachKeys = {
  name: 'detach-keys',
  kind: 'value',
  value: 'string',
  help: 'Override the key sequence for detaching a container',
} as const;

async function session(
  api: Api,
  found: Inspected,
  parsed: Parsed,
  stdin: boolean,
  begin: (() => Promise<unknown>) | undefined,
): Promise<number> {
  const path = `/containers/${found.Id}`;
  const keys = parsed.value('detach-keys');
  const { socket } = await api.hijack(`${path}/attach`, {
    query: { stream: 1, stdin, stdout: 1, stderr: 1, detachKeys: keys },
  });
  const exit = waitFor(api, path, 'next-exit');
  exit.catch(() => {});
  await exit.begun;
  const ending = runSession(socket, { tty: found.Config.Tty, stdin, detachKeys: keys });
  const proxied = !found.Config.Tty && (!parsed.has('sig-proxy') || parsed.switch('sig-proxy'));
  const stopSignals = !proxied ? () => {} : proxySignals(api, found.Id);
  let stopSize = (): void => {};
  try {
    await begin?.().catch(async (error: unknown) => {
      socket.destroy();
      await ending.catch(() => {});
      throw error;
    });
    if (found.Config.Tty) stopSize = followSize(api, path);
    return (await ending) === 'detached' ? 0 : await exit;
  } finally {
    stopSignals();
    stopSize();
  }
}

export const attach: Command = {
  usage: '[OPTIONS] CONTAINER',
  summary: 'Attach local standard input, output, and error streams to a running container',
  flags: [
    detachKeys,
    { name: 'no-stdin', kind: 'switch', help: 'Do not attach STDIN' },
    { name: 'sig-proxy', kind: 'switch', help: 'Proxy all received signals to the process (default true)' },
  ],
  args: [1, 1],
  async run(parsed, { api }) {
    const found = await api.send<Inspected>('GET', `/containers/${encodeURIComponent(parsed.args[0]!)}/json`);
    if (!found.State.Running)
      throw new GantryError('INVALID_STATE', 'Cannot attach to a stopped container, start it first', {
        hint: `gantry start -a ${parsed.args[0]}`,
      });
    if (found.State.Paused)
      throw new GantryError('INVALID_STATE', 'Cannot attach to a paused container, unpause it first');
    return session(api, found, parsed, found.Config.OpenStdin && !parsed.switch('no-stdin'), undefined);
  },
};

export const start: Command = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Start one or more stopped containers',
  flags: [
    { name: 'attach', short: 'a', kind: 'switch', help: 'Attach STDOUT/STDERR and forward signals' },
    { name: 'interactive', short: 'i', kind: 'switch', help: "Attach container's STDIN" },
    detachKeys,
    { name: 'checkpoint', kind: 'value', help: '', hidden: true, refused: CHECKPOINTS },
    { name: 'checkpoint-dir', kind: 'value', help: '', hidden: true, refused: CHECKPOINTS },
  ],
  args: [1, MANY],
  async run(parsed, { api }) {
    const attached = parsed.switch('attach') || parsed.switch('interactive');
    if (!attached)
      return forEachName(parsed.args, async (name) => {
        await api.send('POST', `/containers/${encodeURIComponent(name)}/start`);
        return name;
      });
    if (parsed.args.length > 1)
      throw new GantryError('INVALID_ARGUMENT', 'You cannot start and attach multiple containers at once');
    const found = await api.send<Inspected>('GET', `/containers/${encodeURIComponent(parsed.args[0]!)}/json`);
    return session(api, found, parsed, parsed.switch('interactive') && found.Config.OpenStdin, () =>
      api.send('POST', `/containers/${found.Id}/start`),
    );
  },
};
