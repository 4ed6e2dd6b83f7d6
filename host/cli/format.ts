// --format: "json", a Go template, "table …", or docker's own table.
import { tableLines } from './table.ts';
import { compileTemplate } from './template.ts';

export type Row = Record<string, unknown>;

/** @param columns header → field of the row, for the default table. */
export function formatRows(rows: Row[], format: string | undefined, columns: [string, string][]): string {
  if (format === 'json') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  if (format !== undefined && format !== 'table') {
    const asTable = format.startsWith('table ');
    const source = asTable ? format.slice('table '.length) : format;
    const render = compileTemplate(source);
    const lines = rows.map(render);
    if (!asTable) return lines.map((line) => `${line}\n`).join('');
    const header = [...source.matchAll(/\{\{[^}]*\.(\w+)[^}]*\}\}/g)].map(
      ([, field]) => columns.find(([, name]) => name === field)?.[0] ?? field!.toUpperCase(),
    );
    return text(
      tableLines(
        header,
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
