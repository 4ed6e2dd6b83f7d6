// Progress of a pull or load: bars on a terminal, a line for each change elsewhere.
import { engineError } from '../../client/api.ts';
import { jsonLines } from '../../client/lines.ts';
import { printable } from '../format/printable.ts';
import { decimalSize } from '../format/units.ts';

interface Line {
  id?: string;
  status?: string;
  stream?: string;
  progressDetail?: { current?: number; total?: number };
  error?: string;
}

/** Letters of a bar: at most, at least, and what stands around it in a row. */
const [LONGEST, SHORTEST, AROUND] = [30, 8, 48];

/** Shows every line until the end. @throws {GantryError} where a line tells of a failure. */
export async function showProgress(
  source: AsyncIterable<unknown>,
  output: NodeJS.WriteStream,
  quiet: boolean,
): Promise<void> {
  const rows: string[] = [];
  const seen = new Map<string, string>();
  for await (const raw of jsonLines<Line>(source)) {
    const line = { ...raw, ...(raw.status === undefined ? {} : { status: printable(raw.status) }) };
    if (line.error !== undefined) throw engineError(500, JSON.stringify({ ...line, message: line.error }));
    if (quiet || (line.status ?? line.stream) === undefined) continue; // "aux" is for programs.
    if (line.stream !== undefined || line.id === undefined) {
      rows.length = 0; // What stands above a line of another kind is not reached any more.
      output.write(line.stream ?? `${line.status ?? ''}\n`);
    } else if (!output.isTTY) {
      if (seen.get(line.id) !== line.status && line.progressDetail?.total === undefined)
        output.write(`${line.id}: ${line.status}\n`);
      seen.set(line.id, line.status ?? '');
    } else drawRow(rows, line.id, rowText(line, widthOf(output)), output);
  }
}

/** Columns; terminals that tell none are taken for usual ones. */
function widthOf({ columns }: NodeJS.WriteStream): number {
  return columns || 80;
}

function rowText({ id, status = '', progressDetail: { current = 0, total = 0 } = {} }: Line, columns: number): string {
  if (total === 0) return `${id}: ${status}`;
  const bar = Math.max(SHORTEST, Math.min(LONGEST, columns - AROUND));
  const filled = Math.min(bar, Math.round((bar * current) / total));
  return `${id}: ${status.padEnd(12)} [${'='.repeat(filled).padEnd(bar)}] ${decimalSize(current)}/${decimalSize(total)}`;
}

/** Rewrites the row of an id in place: up, clear, write, down. */
function drawRow(rows: string[], id: string, text: string, output: NodeJS.WriteStream): void {
  const at = rows.indexOf(id);
  const row = text.slice(0, Math.max(1, widthOf(output) - 1)); // A row that wraps would be two.
  if (at < 0) {
    rows.push(id);
    output.write(`${row}\n`);
    return;
  }
  const up = rows.length - at;
  // What has scrolled off the screen cannot be reached.
  if (up < (output.rows || Number.POSITIVE_INFINITY)) output.write(`\x1b[${up}A\r\x1b[2K${row}\x1b[${up}B\r`);
}
