// Columns as docker prints them, in the way of Go's tabwriter: three spaces between, and no column below a least width.
const PADDING = 3;
const LEAST = 10;

export function tableLines(header: string[], rows: string[][], least = LEAST): string[] {
  const all = [header, ...rows];
  const letters = (text: string): number => [...text].length;
  const widths = header.map((_name, column) =>
    Math.max(least, ...all.map((row) => letters(row[column] ?? '') + PADDING)),
  );
  return all.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell + ' '.repeat(widths[column]! - letters(cell))))
      .join('')
      .trimEnd(),
  );
}
