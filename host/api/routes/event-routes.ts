// /events: what happened and what happens, by docker's filters.
import type { Engine } from '../../engine/engine.ts';
import type { EngineEvent } from '../../engine/events.ts';
import { GantryError } from '../../errors.ts';
import { anyOf, type Filters, matchesLabels, readFilters } from '../fields/filters.ts';
import type { Call, Route } from '../http.ts';
import { parseTimeOrDuration } from '../json/times.ts';

const FILTERS = 'config container daemon event image label network node plugin scope secret service type volume'.split(
  ' ',
);

/** Bytes that a client may be behind; then it is let go. */
const BEHIND_MAX = 4 << 20;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function eventRoutes(engine: Engine): Route[] {
  const events = ({ query, response }: Call): void => {
    const filters = readFilters(query.get('filters'), FILTERS);
    const [since, until] = ['since', 'until'].map((name) => parseTimeOrDuration(query.get(name) ?? ''));
    if (since !== undefined && until !== undefined && since > until)
      throw new GantryError(
        'INVALID_ARGUMENT',
        `"since" time (${query.get('since')}) cannot be after "until" time (${query.get('until')})`,
      );
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const send = (event: EngineEvent): void => {
      if (until !== undefined && event.at > until) return;
      if (matchesEvent(event, filters)) response.write(`${eventJson(event)}\n`);
      if (response.writableLength > BEHIND_MAX) response.destroy();
    };
    if (since !== undefined || until !== undefined)
      for (const event of engine.events.recent()) if (event.at >= (since ?? 0n)) send(event);
    const left = until === undefined ? LONGEST_TIMER_MS : Number(until / 1_000_000n) - Date.now();
    if (left <= 0) {
      response.end();
      return;
    }
    const stop = engine.events.listen(send);
    const timer = until === undefined ? undefined : setTimeout(() => response.end(), Math.min(left, LONGEST_TIMER_MS));
    response.once('close', () => {
      stop();
      clearTimeout(timer);
    });
  };
  return [{ method: 'GET', path: '/events', handler: events }];
}

/** Kinds of events, and of objects that only docker has. */
const kinds = ['config', 'container', 'daemon', 'network', 'node', 'plugin', 'secret', 'service', 'volume'];
/** Actions with something behind a colon, which these names mean too. */
const beginnings = ['health_status', 'exec_create', 'exec_start'];

export function matchesEvent({ type, action, id, attributes }: EngineEvent, filters: Filters): boolean {
  const byBeginning = filters.event?.some((name) => beginnings.includes(name)) ?? false;
  const { name = '', image = '' } = attributes;
  const imageNames = type === 'image' ? [id, name] : [id, image];
  return (
    anyOf(filters.type, (wanted) => wanted === type) &&
    anyOf(filters.scope, (wanted) => wanted === 'local') &&
    anyOf(
      filters.event,
      (wanted) => wanted.trimEnd() === action.trimEnd() || (byBeginning && action.startsWith(wanted)),
    ) &&
    // As docker: by the beginning of an ID or a name, whatever kind of object it is.
    kinds.every((kind) => anyOf(filters[kind], (wanted) => id.startsWith(wanted) || name.startsWith(wanted))) &&
    anyOf(filters.image, (wanted) => imageNames.some((found) => found === wanted || withoutTag(found) === wanted)) &&
    matchesLabels(attributes, filters.label)
  );
}

function withoutTag(reference: string): string {
  return reference.replace(/@.*$/, '').replace(/:[^:/]*$/, '');
}

/** One line; nanoseconds are more than a number of JavaScript can hold. */
function eventJson({ type, action, id, attributes, at }: EngineEvent): string {
  const legacy =
    type === 'container' || type === 'image'
      ? { status: action, id, ...(attributes.image ? { from: attributes.image } : {}) }
      : {};
  const event = {
    ...legacy,
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))) },
    scope: 'local',
    time: Number(at / 1_000_000_000n),
  };
  return `${JSON.stringify(event).slice(0, -1)},"timeNano":${at}}`;
}
