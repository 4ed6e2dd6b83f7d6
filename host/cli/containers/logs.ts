// `logs`: what a container wrote, and what it goes on writing.
import { createDemultiplexer } from '../../client/stdcopy.ts';
import type { Command } from '../command.ts';
import { parseMoment } from '../format/units.ts';

export const logs: Command = {
  usage: '[OPTIONS] CONTAINER',
  summary: 'Fetch the logs of a container',
  flags: [
    { name: 'details', kind: 'switch', help: 'Show extra details provided to logs' },
    { name: 'follow', short: 'f', kind: 'switch', help: 'Follow log output' },
    {
      name: 'since',
      kind: 'value',
      value: 'string',
      help: 'Show logs since timestamp (e.g. 2026-01-02T13:23:37Z) or relative (e.g. 42m)',
    },
    {
      name: 'tail',
      short: 'n',
      kind: 'value',
      value: 'string',
      help: 'Number of lines to show from the end of the logs',
    },
    { name: 'timestamps', short: 't', kind: 'switch', help: 'Show timestamps' },
    { name: 'until', kind: 'value', value: 'string', help: 'Show logs before a timestamp or relative (e.g. 42m)' },
  ],
  args: [1, 1],
  async run(parsed, { api }) {
    const path = `/containers/${encodeURIComponent(parsed.args[0]!)}`;
    const moment = (flag: string): string | undefined =>
      parsed.has(flag) ? parseMoment(parsed.value(flag)!, flag) : undefined;
    const [since, until] = [moment('since'), moment('until')];
    const { Config } = await api.send<{ Config: { Tty: boolean } }>('GET', `${path}/json`);
    const answer = await api.open('GET', `${path}/logs`, {
      query: {
        stdout: 1,
        stderr: 1,
        details: parsed.switch('details'),
        follow: parsed.switch('follow'),
        timestamps: parsed.switch('timestamps'),
        tail: parsed.value('tail'),
        since,
        until,
      },
    });
    const write = (stream: 'stdout' | 'stderr', data: Buffer): void => {
      if (process[stream].write(data)) return;
      answer.pause();
      process[stream].once('drain', () => answer.resume());
    };
    answer.on('data', Config.Tty ? (chunk: Buffer) => write('stdout', chunk) : createDemultiplexer(write));
    await new Promise<void>((resolve, reject) => {
      answer.once('end', resolve);
      answer.once('error', reject);
    });
    return 0;
  },
};
