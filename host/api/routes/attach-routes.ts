// A container's streams: attach, logs.
import type { OutputSink } from '../../backend.ts';
import { createDetachFilter, parseDetachKeys } from '../../detach-keys.ts';
import { isRestarting } from '../../engine/container.ts';
import type { Engine } from '../../engine/engine.ts';
import { logDetails } from '../../engine/logs/log-details.ts';
import { readLogs } from '../../engine/logs/logs.ts';
import { GantryError } from '../../errors.ts';
import { type Call, drained, flag, readJson, type Route } from '../http.ts';
import { hijack, stdcopyFrame, streamType } from '../stream.ts';
import { parseTime } from '../json/times.ts';
import { acceptWebSocket } from '../websocket.ts';

export function attachRoutes(engine: Engine): Route[] {
  const attach = async (call: Call): Promise<void> => {
    const container = engine.find(call.params.id!);
    if (container.record.state.status === 'restarting') throw isRestarting(container);
    if (container.record.state.status === 'paused')
      throw new GantryError(
        'INVALID_STATE',
        `Container ${container.record.id} is paused, unpause the container before attach`,
      );
    const raw = container.record.config.tty;
    const wanted = { stdout: flag(call, 'stdout'), stderr: flag(call, 'stderr') };
    const keys = parseDetachKeys(call.query.get('detachKeys') ?? '');
    // dockerode sends its options in front of what is for stdin; docker never looks at them.
    if (call.upgraded !== undefined) await readJson(call);
    const connection = call.upgraded?.protocol === 'websocket' ? await acceptWebSocket(call) : hijack(call, raw);
    engine.announce(container, 'attach');
    const sink = connection.sink(raw, wanted);
    if (flag(call, 'logs') && container.record.state.startedAt !== '')
      for await (const { stream, data } of readLogs(container.files.log, {})) await sink.output(stream, data);
    if (!flag(call, 'stream')) return connection.end();
    const attached = container.attach(wanted.stdout || wanted.stderr ? sink : ended(sink), flag(call, 'stdin'));
    const filter = raw && flag(call, 'stdin') ? createDetachFilter(keys) : undefined;
    connection.input({
      data(chunk) {
        const { send, detach } = filter?.(Buffer.from(chunk)) ?? { send: chunk, detach: false };
        if (detach) {
          attached.leave();
          connection.end();
          engine.announce(container, 'detach');
        }
        return attached.write(send);
      },
      end: () => attached.closeStdin(),
      gone: () => attached.leave(),
    });
  };

  const logs = async (call: Call): Promise<void> => {
    const container = engine.find(call.params.id!);
    const { record, files } = container;
    const wanted = { stdout: flag(call, 'stdout'), stderr: flag(call, 'stderr') };
    if (!wanted.stdout && !wanted.stderr)
      throw new GantryError('INVALID_ARGUMENT', 'Bad parameters: you must choose at least one stream');
    if (record.config.host.logConfig.type === 'none')
      throw new GantryError('UNSUPPORTED', 'Configured logging driver does not support reading', {
        hint: 'The container was created with --log-driver none',
      });
    const tail = call.query.get('tail');
    if (tail !== null && !/^(|all|-?\d+)$/.test(tail))
      throw new GantryError('INVALID_ARGUMENT', `Invalid tail "${tail}": a number of lines, or "all"`);
    const [since, until] = [parseTime(call.query.get('since')), parseTime(call.query.get('until'))];
    const gone = new AbortController();
    call.response.once('close', () => gone.abort());
    const head = flag(call, 'details') ? `${detailsText(logDetails(record))} ` : '';
    call.response.writeHead(200, { 'content-type': streamType(call, record.config.tty) });
    call.response.flushHeaders();
    const follow = flag(call, 'follow') && container.running !== undefined ? container.settled : undefined;
    const entries = readLogs(files.log, {
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
      ...(tail === null || tail === '' || tail === 'all' || Number(tail) < 0 ? {} : { tail: Number(tail) }),
      ...(follow === undefined ? {} : { follow }),
      signal: gone.signal,
    });
    const timer = follow === undefined || until === undefined ? undefined : setTimeout(() => gone.abort(), msTo(until));
    for await (const { stream, at, data, continues } of entries) {
      if (!wanted[stream]) continue;
      const before = continues ? '' : (flag(call, 'timestamps') ? `${timestamp(at)} ` : '') + head;
      const line = before === '' ? data : Buffer.concat([Buffer.from(before), data]);
      const bytes = record.config.tty ? line : stdcopyFrame(stream, line);
      if (!call.response.write(bytes)) await drained(call.response);
      if (gone.signal.aborted) break;
    }
    clearTimeout(timer);
    call.response.end();
  };

  return [
    { method: 'POST', path: '/containers/:id/attach', handler: attach, upgrade: 'tcp' },
    { method: 'GET', path: '/containers/:id/attach/ws', handler: attach, upgrade: 'websocket' },
    { method: 'GET', path: '/containers/:id/logs', handler: logs },
  ];
}

/** Only told about the end: the client wants to write and not to read. */
function ended(sink: OutputSink): OutputSink {
  return { output: () => undefined, end: () => sink.end() };
}

/** "label=value,tag=x", as docker's clients take it apart. */
function detailsText(details: Record<string, string>): string {
  const escaped = (text: string): string => new URLSearchParams({ '': text }).toString().slice(1);
  return Object.entries(details)
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .join(',');
}

/** Until a moment in nanoseconds; timers take no more than 24 days. */
function msTo(moment: bigint): number {
  return Math.min(2 ** 31 - 1, Math.max(0, Number(moment / 1_000_000n) - Date.now()));
}

function timestamp(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}Z`;
}
