// --progress rawjson: BuildKit's own status messages, one a line, for programs that read them.
import { createHash } from 'node:crypto';
import type { BuildEvent } from '../../build/progress.ts';
import type { Display } from './display.ts';

const digest = (id: string): string => `sha256:${createHash('sha256').update(id).digest('hex')}`;
const when = (time: number): string => new Date(time).toISOString();
const times = ({ started, completed }: { started?: number; completed?: number }): object => ({
  ...(started === undefined ? {} : { started: when(started) }),
  ...(completed === undefined ? {} : { completed: when(completed) }),
});
const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** The message of an event; undefined for what BuildKit tells otherwise. */
function message(event: BuildEvent, now: number): object | undefined {
  switch (event.type) {
    case 'vertex': {
      const { id, name, cached, error } = event;
      const state = { ...(cached ? { cached } : {}), ...(error === undefined ? {} : { error }) };
      return { vertexes: [{ digest: digest(id), name, ...times(event), ...state }] };
    }
    case 'status': {
      const { id, vertex, current = 0, total = 0 } = event;
      return {
        statuses: [{ id, vertex: digest(vertex), name: id, total, current, timestamp: when(now), ...times(event) }],
      };
    }
    case 'log': {
      const { vertex, stream, text, time } = event;
      const number = stream === 'stdout' ? 1 : 2;
      return { logs: [{ vertex: digest(vertex), stream: number, data: base64(text), timestamp: when(time) }] };
    }
    case 'warning': {
      const { rule, message: text, range } = event;
      const place = range && { range: [{ start: { line: range.start }, end: { line: range.end } }] };
      return { warnings: [{ level: 1, short: base64(rule === '' ? text : `${rule}: ${text}`), ...place }] };
    }
    default:
      return undefined;
  }
}

export function rawDisplay(write: (text: string) => void, now: () => number = Date.now): Display {
  return {
    event(event) {
      const found = message(event, now());
      if (found !== undefined) write(`${JSON.stringify(found)}\n`);
    },
    end: () => {},
    failedOutput: () => undefined,
  };
}
