// `serve`: an engine in the foreground.
import { GantryError } from '../errors.ts';
import type { Command } from './command.ts';

export const serve: Command = {
  usage: '[OPTIONS]',
  summary: 'Serve the Docker Engine API in the foreground',
  flags: [
    { name: 'host', short: 'H', kind: 'value', value: 'string', help: 'Socket to listen on (unix:///PATH)' },
    { name: 'data-root', kind: 'value', value: 'string', help: 'Directory of images, containers and volumes' },
    { name: 'idle-exit', kind: 'switch', help: 'End when nothing runs and nobody asks for anything' },
  ],
  args: [0, 0],
  async run(parsed, { host }) {
    const chosen = parsed.value('host') ?? host;
    if (chosen !== undefined && !chosen.startsWith('unix://'))
      throw new GantryError('UNSUPPORTED', `Cannot listen on "${chosen}": only unix:// sockets are supported`);
    const engine = await import('../index.ts');
    const stop = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
    await engine.serve({
      dataRoot: parsed.value('data-root'),
      socket: chosen?.slice('unix://'.length),
      idleExit: parsed.switch('idle-exit'),
      signal: stop.signal,
      ready: (socket) => process.stdout.write(`Serving on unix://${socket}\n`),
    });
    return 0;
  },
};
