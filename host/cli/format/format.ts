// --format: "json", a Go template, "table …", or docker's own table.
import { goJson, ROW } from './go-json.ts';
import { tableLines } from './table.ts';
import { compileTemplate } from './template.ts';

export type Row = Record<string, unknown>;

const sorted = (row: Row): Row =>
  Object.defineProperty(Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))), ROW, {
    value: true,
  });

/** A row that also answers {{.Label "name"}}. */
export function withLabels<T extends Row>(row: T, labels: Record<string, string> | null): T {
  const Label = (name: unknown): string => labels?.[String(name)] ?? '';
  return Object.defineProperty(row, 'Label', { value: Label, enumerable: false });
}

export const labelText = (labels: Record<string, string> | null): string =>
  Object.entries(labels ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(',');

/** @param columns header → field of the row, for the default table. */
export function formatRows(rows: Row[], format: string | undefined, columns: [string, string][]): string {
  if (format === 'json') return rows.map((row) => `${goJson(sorted(row))}\n`).join('');
  if (format !== undefined && format !== 'table') {
    const asTable = format.startsWith('table ');
    const render = compileTemplate(asTable ? format.slice('table '.length) : format);
    const lines = rows.map((row) => render(carry(row)));
    if (!asTable) return lines.map((line) => `${line}\n`).join('');
    // The header is the same template, filled with the names of the columns.
    const names = Object.keys({ ...rows[0], ...Object.fromEntries(columns.map(([, name]) => [name, ''])) });
    const header = Object.fromEntries(
      names.map((name) => [name, columns.find(([, field]) => field === name)?.[0] ?? spaced(name)]),
    );
    const Label = (name: unknown): string => String(name);
    const first = render(Object.defineProperty(header, 'Label', { value: Label, enumerable: false }));
    return text(
      tableLines(
        first.split('\t'),
        lines.map((line) => line.split('\t')),
      ),
    );
  }
  return text(
    tableLines(
      columns.map(([header]) => header),
      rows.map((row) => columns.map(([, name]) => String(row[name] ?? ''))),
    ),
  );
}

/** "LocalVolumes" → "LOCAL VOLUMES". */
const spaced = (name: string): string => name.replace(/([a-z])([A-Z])/g, '$1 $2').toUpperCase();

/** In order, with what is not listed but can be called. */
function carry(row: Row): Row {
  const own = Object.getOwnPropertyDescriptor(row, 'Label');
  return own === undefined ? sorted(row) : Object.defineProperty(sorted(row), 'Label', own);
}

function text(lines: string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** ["a=b", "a=c"] of --filter → docker's JSON; undefined where there is none. */
export function filtersOf(list: string[]): string | undefined {
  if (list.length === 0) return undefined;
  const filters: Record<string, string[]> = {};
  for (const entry of list) {
    const at = entry.indexOf('=');
    const [name, value] = at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
    filters[name] = [...(filters[name] ?? []), value];
  }
  return JSON.stringify(filters);
}
