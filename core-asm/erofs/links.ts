// How many names an inode has that had more than one: known when the tree is whole.
import { allocate, setU32, u32at } from './memory';

/** Slots of linked inodes, one for each name. */
let slots: usize = 0;
let capacity: i32 = 0;
let noted: i32 = 0;

export function noteLinked(slot: u32): void {
  if (noted == capacity) {
    const larger = allocate(4 * max(1024, 2 * capacity));
    memory.copy(larger, slots, 4 * noted);
    slots = larger;
    capacity = max(1024, 2 * capacity);
  }
  setU32(slots + 4 * noted++, slot);
}

function slotAt(index: i32): u32 {
  return u32at(slots + 4 * index);
}

/** Heap sort: in place, and as fast for any order. */
function sift(start: i32, end: i32): void {
  const value = slotAt(start);
  let parent = start;
  for (;;) {
    let child = 2 * parent + 1;
    if (child >= end) break;
    if (child + 1 < end && slotAt(child + 1) > slotAt(child)) child++;
    if (slotAt(child) <= value) break;
    setU32(slots + 4 * parent, slotAt(child));
    parent = child;
  }
  setU32(slots + 4 * parent, value);
}

function sort(): void {
  for (let i = noted / 2 - 1; i >= 0; i--) sift(i, noted);
  for (let end = noted - 1; end > 0; end--) {
    const largest = slotAt(0);
    setU32(slots, slotAt(end));
    setU32(slots + 4 * end, largest);
    sift(0, end);
  }
}

let distinct: i32 = 0;
let counts: usize = 0;

/** Makes of the notes one slot and one count for each inode. */
export function countLinks(): void {
  if (noted == 0) return;
  sort();
  counts = allocate(4 * noted);
  for (let i = 0; i < noted; i++) {
    if (i > 0 && slotAt(i) == slotAt(distinct - 1))
      setU32(counts + 4 * (distinct - 1), u32at(counts + 4 * (distinct - 1)) + 1);
    else {
      setU32(slots + 4 * distinct, slotAt(i));
      setU32(counts + 4 * distinct++, 1);
    }
  }
}

/** Inodes that have, or had, more than one name. */
export function linkCounts(): i32 {
  return distinct;
}

export function linkedSlot(index: i32): u32 {
  return slotAt(index);
}

/** Where the count lies, as the image has it. */
export function linkCountAt(index: i32): usize {
  return counts + 4 * index;
}
