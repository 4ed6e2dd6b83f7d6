// Extended attributes in EROFS' form: entries one behind the other, as they stand behind an inode.
import { REFUSED_XATTR_TOO_LARGE, REFUSED_XATTR_VALUE } from './abi';
import {
  XATTR_ACL_ACCESS,
  XATTR_ACL_DEFAULT,
  XATTR_ENTRY,
  XATTR_HEADER,
  XATTR_SECURITY,
  XATTR_TRUSTED,
  XATTR_USER,
} from './disk';
import {
  allocate,
  allocateSmall,
  compareNames,
  isText,
  putText,
  refuse,
  setU32,
  setU8,
  startsWith,
  u32at,
  u8at,
} from './memory';

/** What an inode's counter of four-byte units can say. */
const ENCODED_MAX = 4 * 65534;
/** What Linux takes as the list of an inode's names is shorter than these. */
const XATTRS_MAX = 256;
const LIST = 16;

/** Of the entry at hand: pointers and lengths of names and values, as they lie in the archive's attributes. */
let list: usize = 0;
let count: i32 = 0;
let encoded: usize = 0;
let encodedLength: i32 = 0;

export function clearXattrs(): void {
  count = 0;
}

export function addXattr(name: usize, nameLength: i32, value: usize, valueLength: i32): void {
  if (list == 0) list = allocate(XATTRS_MAX * LIST);
  if (count == XATTRS_MAX) refuse(REFUSED_XATTR_TOO_LARGE);
  const at = list + LIST * count++;
  setU32(at, <u32>name);
  setU32(at + 4, nameLength);
  setU32(at + 8, <u32>value);
  setU32(at + 12, valueLength);
}

let prefixIndex: i32 = 0;
let prefixLength: i32 = 0;

function isPrefix(name: usize, length: i32, prefix: string, index: i32): bool {
  if (!startsWith(name, length, prefix)) return false;
  prefixIndex = index;
  prefixLength = prefix.length;
  return true;
}

/** False for attributes that a tree of this kind does not hold: of other systems, and user's on what is neither file nor directory. */
function findPrefix(name: usize, length: i32, isFile: bool, isDirectory: bool): bool {
  // Overlayfs' own attributes would let a layer redirect to what is not in it.
  if (startsWith(name, length, 'trusted.') || startsWith(name, length, 'user.overlay.')) return false;
  if (isPrefix(name, length, 'security.', XATTR_SECURITY)) return true;
  if (isPrefix(name, length, 'user.', XATTR_USER)) return isFile || isDirectory;
  if (isText(name, length, 'system.posix_acl_default')) {
    isPrefix(name, length, 'system.posix_acl_default', XATTR_ACL_DEFAULT);
    return isDirectory;
  }
  return (
    isText(name, length, 'system.posix_acl_access') &&
    isPrefix(name, length, 'system.posix_acl_access', XATTR_ACL_ACCESS)
  );
}

/** As the kernel does where a capability or an access list is set: it keeps none that it could not read. */
function checkValue(name: usize, nameLength: i32, value: usize, length: i32): void {
  if (isText(name, nameLength, 'security.capability')) {
    const revision = length >= 4 ? u32at(value) & 0xff000000 : 0;
    if (!(length == 20 && revision == 0x02000000) && !(length == 24 && revision == 0x03000000))
      refuse(REFUSED_XATTR_VALUE);
  } else if (prefixIndex == XATTR_ACL_ACCESS || prefixIndex == XATTR_ACL_DEFAULT) {
    if (length < 4 || (length - 4) & 7 || u32at(value) != 2) refuse(REFUSED_XATTR_VALUE);
  }
}

function entrySize(at: usize): i32 {
  return (XATTR_ENTRY + u8at(at) + (u32at(at) >>> 16) + 3) & ~3;
}

/** The last of equal names counts. */
function dropEqual(index: i32, name: usize, length: i32): void {
  for (let at = 0; at < encodedLength; ) {
    const size = entrySize(encoded + at);
    if (
      <i32>u8at(encoded + at + 1) == index &&
      compareNames(encoded + at + XATTR_ENTRY, u8at(encoded + at), name, length) == 0
    ) {
      memory.copy(encoded + at, encoded + at + size, encodedLength - at - size);
      encodedLength -= size;
      return;
    }
    at += size;
  }
}

function append(index: i32, name: usize, nameLength: i32, value: usize, length: i32): void {
  dropEqual(index, name, nameLength);
  const size = (XATTR_ENTRY + nameLength + length + 3) & ~3;
  if (nameLength > 255 || length > 65535 || encodedLength + size > ENCODED_MAX) refuse(REFUSED_XATTR_TOO_LARGE);
  const at = encoded + encodedLength;
  setU32(at, nameLength | (index << 8) | (length << 16));
  memory.copy(at + XATTR_ENTRY, name, nameLength);
  memory.copy(at + XATTR_ENTRY + nameLength, value, length);
  memory.fill(at + XATTR_ENTRY + nameLength + length, 0, size - XATTR_ENTRY - nameLength - length);
  encodedLength += size;
}

function appendAll(isFile: bool, isDirectory: bool): void {
  for (let i = 0; i < count; i++) {
    const at = list + LIST * i;
    const name = <usize>u32at(at);
    const nameLength = <i32>u32at(at + 4);
    if (!findPrefix(name, nameLength, isFile, isDirectory)) continue;
    checkValue(name, nameLength, <usize>u32at(at + 8), u32at(at + 12));
    append(prefixIndex, name + prefixLength, nameLength - prefixLength, <usize>u32at(at + 8), u32at(at + 12));
  }
}

function prepare(): void {
  if (encoded == 0) encoded = allocate(ENCODED_MAX + 4);
  encodedLength = 0;
}

/** Encodes the attributes of the entry at hand; they lie there until the next call. */
export function encodeXattrs(isFile: bool): i32 {
  encodedLength = 0;
  if (count == 0) return 0;
  prepare();
  appendAll(isFile, false);
  return encodedLength;
}

/** Attributes of a directory, which are kept until the end: a length, then what encodeXattrs() would make. */
export function mergeXattrs(kept: usize): usize {
  if (count == 0) return kept;
  prepare();
  if (kept != 0) {
    encodedLength = u32at(kept);
    memory.copy(encoded, kept + 4, encodedLength);
  }
  appendAll(false, true);
  return keep();
}

function keep(): usize {
  if (encodedLength == 0) return 0;
  const kept = allocateSmall(4 + encodedLength);
  setU32(kept, encodedLength);
  memory.copy(kept + 4, encoded, encodedLength);
  return kept;
}

let opaqueName: usize = 0;

/** The same with the mark of overlayfs that hides what is below. */
export function withOpaque(kept: usize): usize {
  prepare();
  if (opaqueName == 0) {
    opaqueName = allocateSmall(16);
    putText(opaqueName, 'overlay.opaquey');
  }
  if (kept != 0) {
    encodedLength = u32at(kept);
    memory.copy(encoded, kept + 4, encodedLength);
  }
  append(XATTR_TRUSTED, opaqueName, 14, opaqueName + 14, 1);
  return keep();
}

/** Bytes behind an inode for attributes of this length. */
export function xattrArea(length: i32): i32 {
  return length == 0 ? 0 : XATTR_HEADER + length;
}

/** Writes what stands behind an inode: the header, then the entries of the last encodeXattrs(). */
export function putXattrs(at: usize, length: i32): void {
  if (length > 0) memory.copy(at + XATTR_HEADER, encoded, length);
}

export function putKeptXattrs(at: usize, kept: usize): void {
  if (kept != 0) memory.copy(at + XATTR_HEADER, kept + 4, u32at(kept));
}

export function keptLength(kept: usize): i32 {
  return kept == 0 ? 0 : <i32>u32at(kept);
}
