// Extended attributes of an entry, as pax(1) writes them: "LENGTH KEY=VALUE\n", one behind the other.
import { REFUSED_ATTRIBUTES_MALFORMED, REFUSED_ATTRIBUTE_NUMBER } from './abi';
import { entry } from './entry';
import { isText, refuse, startsWith, u8at } from './memory';
import { addNumber, clearHalf, clearSegments, markSparse } from './sparse';
import { addXattr, clearXattrs } from './xattrs';

/** What the attributes said about a sparse file; the version is major << 16 | minor. */
let sparseVersion: i32 = -1;

function isDigit(byte: u32): bool {
  return byte >= 0x30 && byte <= 0x39;
}

/** A number; what follows a point is left away. */
function decimal(at: usize, length: i32): u64 {
  let value: u64 = 0;
  let i = 0;
  for (; i < length && isDigit(u8at(at + i)); i++) {
    if (value > 900000000000000000) refuse(REFUSED_ATTRIBUTE_NUMBER);
    value = 10 * value + (u8at(at + i) - 0x30);
  }
  if (i == 0 || (i < length && u8at(at + i) != 0x2e)) refuse(REFUSED_ATTRIBUTE_NUMBER);
  return value;
}

function id(at: usize, length: i32): u32 {
  const value = decimal(at, length);
  if (value >= 0xffffffff) refuse(REFUSED_ATTRIBUTE_NUMBER);
  return <u32>value;
}

/** Seconds since 1970, perhaps before, with a fraction of any length. */
function readTime(at: usize, length: i32): void {
  const isNegative = length > 0 && u8at(at) == 0x2d;
  const first = isNegative ? 1 : 0;
  let seconds = <i64>decimal(at + first, length - first);
  let i = first;
  while (i < length && u8at(at + i) != 0x2e) i++;
  let nanoseconds: u32 = 0;
  let unit: u32 = 100000000;
  for (i++; i < length && isDigit(u8at(at + i)); i++, unit /= 10) nanoseconds += (u8at(at + i) - 0x30) * unit;
  if (isNegative) {
    seconds = -seconds;
    if (nanoseconds > 0) {
      seconds--;
      nanoseconds = 1000000000 - nanoseconds;
    }
  }
  entry.mtime = seconds;
  entry.mtimeNsec = nanoseconds;
}

function readMap(at: usize, length: i32): void {
  clearSegments();
  markSparse();
  clearHalf();
  for (let i = 0; i < length; ) {
    let end = i;
    while (end < length && u8at(at + end) != 0x2c) end++;
    addNumber(decimal(at + i, end - i));
    i = end + 1;
  }
}

function checkName(at: usize, length: i32): void {
  for (let i = 0; i < length; i++) if (u8at(at + i) == 0) refuse(REFUSED_ATTRIBUTES_MALFORMED);
}

let realSize: i64 = -1;

function sparseRecord(key: usize, keyLength: i32, value: usize, length: i32): void {
  if (isText(key, keyLength, 'map')) readMap(value, length);
  else if (isText(key, keyLength, 'size') || isText(key, keyLength, 'realsize')) realSize = <i64>decimal(value, length);
  else if (isText(key, keyLength, 'offset') || isText(key, keyLength, 'numbytes')) {
    markSparse();
    addNumber(decimal(value, length));
  } else if (isText(key, keyLength, 'major')) sparseVersion = (<i32>decimal(value, length)) << 16;
  else if (isText(key, keyLength, 'minor')) sparseVersion |= <i32>decimal(value, length) & 0xffff;
}

function record(key: usize, keyLength: i32, value: usize, length: i32): void {
  if (startsWith(key, keyLength, 'GNU.sparse.')) {
    if (!isText(key, keyLength, 'GNU.sparse.name')) {
      sparseRecord(key + 11, keyLength - 11, value, length);
      return;
    }
  } else if (startsWith(key, keyLength, 'SCHILY.xattr.')) {
    addXattr(key + 13, keyLength - 13, value, length);
    return;
  }
  // An empty value takes an attribute back.
  if (length == 0) return;
  if (isText(key, keyLength, 'path')) {
    if (sparseName) return;
    checkName(value, length);
    entry.name = value;
    entry.nameLength = length;
  } else if (isText(key, keyLength, 'GNU.sparse.name')) {
    checkName(value, length);
    sparseName = true;
    entry.name = value;
    entry.nameLength = length;
  } else if (isText(key, keyLength, 'linkpath')) {
    checkName(value, length);
    entry.link = value;
    entry.linkLength = length;
  } else if (isText(key, keyLength, 'size')) entry.stored = entry.size = decimal(value, length);
  else if (isText(key, keyLength, 'uid')) entry.uid = id(value, length);
  else if (isText(key, keyLength, 'gid')) entry.gid = id(value, length);
  else if (isText(key, keyLength, 'mtime')) readTime(value, length);
}

let sparseName: bool = false;

/** Applies the records to `entry`. True where the map of a sparse file stands before its content (version 1.0). */
export function readRecords(extra: usize, extraLength: i32): bool {
  clearXattrs();
  clearSegments();
  clearHalf();
  sparseName = false;
  sparseVersion = -1;
  realSize = -1;
  for (let at = 0; at < extraLength; ) {
    let length: i64 = 0;
    let i = at;
    for (; i < extraLength && isDigit(u8at(extra + i)) && length < 100000000; i++)
      length = 10 * length + <i64>(u8at(extra + i) - 0x30);
    const end = <i64>at + length;
    if (i == at || end > extraLength || <i64>i + 3 > end || u8at(extra + i) != 0x20)
      refuse(REFUSED_ATTRIBUTES_MALFORMED);
    const last = <i32>end - 1;
    let equals = ++i;
    while (equals < last && u8at(extra + equals) != 0x3d) equals++;
    if (equals == last || u8at(extra + last) != 0x0a) refuse(REFUSED_ATTRIBUTES_MALFORMED);
    record(extra + i, equals - i, extra + equals + 1, last - equals - 1);
    at = last + 1;
  }
  if (realSize >= 0) {
    markSparse();
    entry.size = <u64>realSize;
  }
  return sparseVersion >= 1 << 16;
}
