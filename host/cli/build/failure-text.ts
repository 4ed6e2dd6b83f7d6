// What stands between a build's progress and its error: the failed step's last output and the lines of the Dockerfile.
import type { SourceRange, WarningEvent } from '../../build/progress.ts';

export function failedOutputText(found: { name: string; lines: string[] } | undefined): string {
  if (found === undefined) return '';
  return `------\n > ${found.name}:\n${found.lines.map((line) => `${line}\n`).join('')}------\n`;
}

/** "Dockerfile:3", then the lines, those that are meant behind ">>>". */
export function excerptText({ file, start, end, first, lines }: SourceRange): string {
  const rule = `${'-'.repeat(20)}\n`;
  const rows = lines.map((line, index) => {
    const number = first + index;
    const mark = number >= start && number <= end ? '>>>' : '   ';
    return ` ${String(number).padStart(3)} | ${mark} ${line}`.trimEnd().concat('\n');
  });
  return `${file}:${start}\n${rule}${rows.join('')}${rule}`;
}

export function warningsText(warnings: WarningEvent[]): string {
  if (warnings.length === 0) return '';
  const lines = warnings.map(({ rule, message, range }) => {
    const line = range === undefined ? '' : ` (line ${range.start})`;
    return ` - ${rule === '' ? '' : `${rule}: `}${message}${line}\n`;
  });
  return `\n ${warnings.length} warning${warnings.length === 1 ? '' : 's'} found:\n${lines.join('')}`;
}
