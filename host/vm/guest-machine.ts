// A guest as a machine: its files, directories and sockets, asked for over the channel.
import { buffer } from 'node:stream/consumers';
import { GantryError } from '../errors.ts';
import type { Machine, MachineSocket } from '../machine.ts';
import type { Channel } from './channel/channel.ts';
import { errnoCode } from './channel/errno.ts';
import { exchangeDatagrams } from './network/exchange.ts';
import type { Architecture } from './qemu-arguments.ts';

/** Where the guest's first process starts the executor. */
export const GUEST_EXECUTOR_SOCKET = '/run/gantry-executor.sock';
export const GUEST_EXECUTOR = '/bin/gantry-executor';

/** @param channel to the guest that runs, which may be another one at each call. */
export function guestMachine(architecture: Architecture, channel: () => Promise<Channel>): Machine {
  const answer = async (...words: string[]): Promise<Buffer | undefined> => {
    const stream = (await channel()).open(words);
    const content = await buffer(stream).catch(() => undefined);
    return (await stream.over).status === 0 ? content : undefined;
  };
  const stat = async (path: string): Promise<string[] | undefined> =>
    (await answer('stat', path))?.toString().split(' ');

  return {
    architecture,
    read: async (path) => (await answer('read', path)) ?? new Uint8Array(0),
    exists: async (path) => (await stat(path)) !== undefined,
    async list(path) {
      const text = (await answer('list', path))?.toString() ?? '';
      const entries = text.split('\0').filter(Boolean);
      return entries.map((entry) => ({ name: entry.slice(2), isDirectory: entry.startsWith('d') }));
    },
    async deviceNode(path) {
      const [mode = '', major, minor] = (await stat(path)) ?? [];
      const kind = mode.startsWith('2') ? 'c' : mode.startsWith('6') ? 'b' : undefined;
      return kind === undefined || mode.length !== 5 ? undefined : [Number(major), Number(minor), kind];
    },
    async connect(path): Promise<MachineSocket> {
      const stream = (await channel()).open(['unix', path]);
      stream.on('error', () => {}); // Told by its end.
      await stream.opened;
      return stream;
    },
    async dial(address, port) {
      const stream = (await channel()).open(['tcp', address, String(port)], { allowHalfOpen: true });
      stream.on('error', () => {});
      await stream.opened;
      return stream;
    },
    exchange: (address, port, received) => exchangeDatagrams(channel, [address, String(port)], received),
    ps: async () => undefined,
  };
}

/** Runs the guest's executor with these arguments. @throws {GantryError} with what it complains of. */
export async function runInGuest(channel: Channel, words: string[], input?: AsyncIterable<Uint8Array>): Promise<void> {
  const stream = channel.open(['run', ...words]);
  stream.on('error', () => {});
  stream.resume();
  await stream.opened;
  try {
    for await (const chunk of input ?? []) {
      if (stream.destroyed || stream.writableEnded) break;
      if (!stream.write(chunk))
        await Promise.race([new Promise((resolve) => stream.once('drain', resolve)), stream.over]);
    }
    stream.end();
  } catch (error) {
    stream.destroy();
    throw error;
  }
  const { status, complaint } = await stream.over;
  if (status === 0) return;
  const reason =
    complaint.split('\n').at(-1) || (status === undefined ? 'the machine is gone' : `it ended with ${status}`);
  const code = /no space left/i.test(reason) ? 'DISK_FULL' : 'BACKEND_UNAVAILABLE';
  throw new GantryError(code, `Cannot carry out "${words[0]}" in the virtual machine: ${reason}`);
}

/** Asks for a service that answers with a status alone. @throws {GantryError} BACKEND_UNAVAILABLE, DISK_FULL. */
export async function askGuest(channel: Channel, words: string[], content?: Uint8Array): Promise<void> {
  const stream = channel.open(words);
  stream.on('error', () => {});
  stream.resume();
  if (content !== undefined) stream.end(content);
  const { status } = await stream.over;
  if (status === 0) return;
  const reason = status === undefined ? 'the machine is gone' : errnoCode(status);
  const code = reason === 'ENOSPC' ? 'DISK_FULL' : 'BACKEND_UNAVAILABLE';
  throw new GantryError(code, `Cannot ${words[0]} "${words.at(-1)}" in the virtual machine: ${reason}`);
}
