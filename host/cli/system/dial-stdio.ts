// `system dial-stdio`: carries stdin and stdout to the engine; "-H ssh://HOST" runs it on the far side.
import { GantryError } from '../../errors.ts';
import type { Command } from '../command.ts';

export const dialStdio: Command = {
  usage: '',
  summary: "Proxy the standard streams to the engine's API (what ssh:// hosts run)",
  flags: [],
  args: [0, 0],
  async run(_parsed, { api }) {
    // Starts the engine where none runs.
    await api.send('GET', '/_ping');
    const { name } = await api.endpoint();
    const socket = await api.dial();
    // Each side's end is told to the other: an attached container's output still comes when stdin is over.
    process.stdin.pipe(socket);
    socket.pipe(process.stdout);
    process.stdout.on('error', () => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      socket.once('end', () => resolve());
      socket.once('close', () => resolve());
      socket.once('error', (cause: NodeJS.ErrnoException) =>
        reject(new GantryError('ENGINE_UNREACHABLE', `Lost the engine at "${name}": ${cause.code}`, { cause })),
      );
    });
    return 0;
  },
};
