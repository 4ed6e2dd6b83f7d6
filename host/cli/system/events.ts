// `events`: what the engine tells of containers, images, volumes and networks.
import { jsonLines } from '../../client/lines.ts';
import type { Command } from '../command.ts';
import { filtersOf } from '../format/format.ts';
import { nanoTime } from '../format/local-time.ts';
import { compileTemplate } from '../format/template.ts';
import { parseMoment } from '../format/units.ts';

interface Event {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  time: number;
  timeNano: number;
}

export const events: Command = {
  usage: '[OPTIONS]',
  summary: 'Get real time events from the engine',
  flags: [
    { name: 'filter', short: 'f', kind: 'list', value: 'filter', help: 'Filter output based on conditions provided' },
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'json' or a Go template" },
    { name: 'since', kind: 'value', value: 'string', help: 'Show all events created since timestamp' },
    { name: 'until', kind: 'value', value: 'string', help: 'Stream events until this timestamp' },
  ],
  args: [0, 0],
  async run(parsed, { api }) {
    const moment = (flag: string): string | undefined =>
      parsed.has(flag) ? parseMoment(parsed.value(flag)!, flag) : undefined;
    const wanted = parsed.value('format');
    const render = wanted === undefined || wanted === 'json' ? undefined : compileTemplate(wanted);
    const answer = await api.open('GET', '/events', {
      query: { filters: filtersOf(parsed.list('filter')), since: moment('since'), until: moment('until') },
    });
    for await (const event of jsonLines<Event>(answer)) {
      const line = wanted === 'json' ? JSON.stringify(event) : (render?.(event) ?? eventLine(event));
      process.stdout.write(`${line}\n`);
    }
    return 0;
  },
};

/** As docker's client prints it: the local time with its offset, then the attributes by name. */
function eventLine({ Type, Action, Actor, time, timeNano }: Event): string {
  const attributes = Object.entries(Actor.Attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`);
  return `${nanoTime(time, timeNano)} ${Type} ${Action} ${Actor.ID} (${attributes.join(', ')})`;
}
