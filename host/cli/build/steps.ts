// What is known of a build's steps by now, from its events: what every display draws.
import type { BuildEvent, LogEvent, StatusEvent, VertexEvent, WarningEvent } from '../../build/progress.ts';

export interface Step extends Omit<VertexEvent, 'type'> {
  statuses: Map<string, StatusEvent>;
}

/** Bytes as BuildKit writes them: "88B", "1.05MB". */
export function byteCount(bytes: number): string {
  const names = ['B', 'kB', 'MB', 'GB', 'TB'];
  const unit = Math.min(names.length - 1, bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3));
  return `${unit === 0 ? bytes : (bytes / 1000 ** unit).toFixed(2)}${names[unit]}`;
}

/** "1.05MB / 3.40MB", or what of it is known. */
export function statusCount({ current = 0, total }: StatusEvent): string {
  if (total) return `${byteCount(current)} / ${byteCount(total)}`;
  return current > 0 ? byteCount(current) : '';
}

/** "CANCELED" is what another step's failure does. */
export function isCanceled({ error }: Pick<Step, 'error'>): boolean {
  return error !== undefined && /cancell?ed$/i.test(error);
}

/** Seconds since a step began, as in front of its output: three digits or more. */
export function sinceStart({ started = 0 }: Step, time: number): string {
  const seconds = Math.max(0, (time - started) / 1000);
  return seconds.toFixed(seconds < 10 ? 3 : seconds < 100 ? 2 : 1);
}

/** Colours and cursor movements of a step's output, and whatever else no line of a log has. */
const CONTROLS =
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g;

/** What a terminal would have left of a line: "\r" writes over what is there. */
export function visibleLine(text: string): string {
  const line = text.replace(/\r+$/, '');
  return line
    .slice(line.lastIndexOf('\r') + 1)
    .replaceAll(CONTROLS, '')
    .replaceAll('\t', '        ');
}

/** Output by lines; the last one waits for its end. */
export class LineBuffer {
  private held = '';
  private heldSince = 0;

  /** Lines that are whole now, each with the time it began. */
  add({ text, time }: Pick<LogEvent, 'text' | 'time'>): { line: string; time: number }[] {
    if (this.held === '') this.heldSince = time;
    const lines = (this.held + text).split('\n');
    this.held = lines.pop() ?? '';
    const found = lines.map((line, index) => ({ line: visibleLine(line), time: index === 0 ? this.heldSince : time }));
    if (lines.length > 0) this.heldSince = time;
    return found;
  }

  /** What has no end yet, as it looks. */
  get rest(): { line: string; time: number } | undefined {
    return this.held === '' ? undefined : { line: visibleLine(this.held), time: this.heldSince };
  }

  end(): { line: string; time: number }[] {
    const { rest } = this;
    this.held = '';
    return rest === undefined ? [] : [rest];
  }
}

/** Steps in the order in which they began; those that wait are counted only. */
export class Steps {
  readonly started: Step[] = [];
  readonly warnings: WarningEvent[] = [];
  private readonly byId = new Map<string, Step>();

  /** The step that an event is about; undefined for one about none. */
  update(event: BuildEvent): Step | undefined {
    if (event.type === 'warning') this.warnings.push(event);
    if (event.type === 'log') return this.byId.get(event.vertex);
    if (event.type === 'status') {
      const step = this.byId.get(event.vertex);
      step?.statuses.set(event.id, event);
      return step;
    }
    if (event.type !== 'vertex') return undefined;
    const { type: _type, ...vertex } = event;
    const known = this.byId.get(vertex.id);
    const began = known?.started !== undefined;
    const step: Step = Object.assign(known ?? { statuses: new Map<string, StatusEvent>() }, vertex);
    this.byId.set(vertex.id, step);
    if (!began && step.started !== undefined) this.started.push(step);
    return step;
  }

  get count(): { total: number; completed: number } {
    const all = [...this.byId.values()];
    return { total: all.length, completed: all.filter(({ completed }) => completed !== undefined).length };
  }
}
