// A directory's names as EROFS has them: blocks of sorted entries, "." and ".." among them, names behind the entries.
import { BLOCK, DIRENT, Dirent, FT_DIRECTORY } from './disk';
import { nidOf } from './image';
import { allocateSmall, compareNames, putText } from './memory';
import { Directory, directoryOf, nameOf, Node, parentOf, slotOf } from './tree';

/** ".." and, as its first byte, ".". */
const dots: usize = allocateSmall(2);
putText(dots, '..');

let node: Node | null = null;
/** How many of "." and ".." have been passed. */
let dotsPassed: i32 = 0;

export function startNames(directory: Directory): void {
  node = directory.first;
  dotsPassed = 0;
}

let name: usize = 0;
let nameLength: i32 = 0;
let isDots: bool = false;

/** Finds the next name without passing it; false behind the last. */
function peek(): bool {
  isDots = false;
  if (node !== null) {
    name = nameOf(node!);
    nameLength = node!.nameLength;
    if (dotsPassed == 2 || compareNames(name, nameLength, dots, dotsPassed + 1) < 0) return true;
  } else if (dotsPassed == 2) return false;
  isDots = true;
  name = dots;
  nameLength = dotsPassed + 1;
  return true;
}

function pass(): void {
  if (isDots) dotsPassed++;
  else node = node!.next;
}

export const NAMES_END = 0;

let count: i32 = 0;

/** Passes the names of one block; the bytes that it has, or NAMES_END. */
export function skipNames(): i32 {
  let used = 0;
  count = 0;
  while (peek() && used + DIRENT + nameLength <= BLOCK) {
    used += DIRENT + nameLength;
    count++;
    pass();
  }
  return used;
}

/** Writes the names of one block. */
export function putNames(directory: Directory, at: usize): void {
  const firstNode = node;
  const firstDots = dotsPassed;
  skipNames();
  node = firstNode;
  dotsPassed = firstDots;
  let offset = count * DIRENT;
  for (let i = 0; i < count; i++) {
    peek();
    const entry = changetype<Dirent>(at + i * DIRENT);
    entry.nid = isDots ? (dotsPassed == 0 ? directory : parentOf(directory)).nid : nidOfNode(node!);
    entry.nameOffset = <u16>offset;
    entry.fileType = isDots ? FT_DIRECTORY : node!.fileType;
    memory.copy(at + offset, name, nameLength);
    offset += nameLength;
    pass();
  }
}

function nidOfNode(node: Node): u64 {
  return node.fileType == FT_DIRECTORY ? directoryOf(node).nid : nidOf(slotOf(node));
}
