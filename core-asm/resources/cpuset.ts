// CPU and memory-node lists in the kernel's list format (cpuset(7)): "0-2,7".

/** Numbers 0–1023 of a list; null where it is malformed. */
export function parseList(text: string): StaticArray<bool> | null {
  const set = new StaticArray<bool>(1024);
  const parts = text.split(',');
  for (let i = 0; i < parts.length; i++) {
    const ends = parts[i].trim().split('-');
    if (ends.length > 2) return null;
    const first = number(ends[0]);
    const last = ends.length == 2 ? number(ends[1]) : first;
    if (first < 0 || last < first || last > 1023) return null;
    for (let n = first; n <= last; n++) set[n] = true;
  }
  return set;
}

function number(text: string): i32 {
  if (text.length == 0 || text.length > 4) return -1;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) return -1;
  return <i32>parseInt(text);
}

/** First number of `wanted` that is not in `available`; -1: all are; -2: a list is malformed. */
export function missingFrom(wanted: string, available: string): i32 {
  const want = parseList(wanted);
  const have = parseList(available);
  if (!want || !have) return -2;
  for (let n = 0; n < 1024; n++) if (want[n] && !have[n]) return n;
  return -1;
}
