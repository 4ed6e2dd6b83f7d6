// What one plan says and another does not: the longest common subsequence of their lines decides.

/** Lines that only one of the two has, in order; op numbers and offsets into the data do not count: one flag shifts them all. */
export function diffLines(before: string[], after: string[]): string[] {
  const key = (line: string): string =>
    line
      .replace(/^\s*\d+ /, '')
      .replace(/\$\d+/g, '$')
      .replace(/patch32\(0x[0-9a-f]+/, 'patch32(');
  const [a, b] = [before.map(key), after.map(key)];
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i]![j] = a[i] === b[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
  const lines: string[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && lengths[i + 1]![j]! >= lengths[i]![j + 1]!))
      lines.push(`-${before[i++]}`);
    else lines.push(`+${after[j++]}`);
  }
  return lines;
}
