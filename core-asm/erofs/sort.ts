// Puts a directory's names in order: a merge sort of the list itself, which takes no memory.
import { compareNames } from './memory';
import { Directory, GONE, nameOf, Node } from './tree';

function precedes(a: Node, b: Node): bool {
  return compareNames(nameOf(a), a.nameLength, nameOf(b), b.nameLength) <= 0;
}

let rest: Node | null = null;

/** Takes `length` nodes off the list at `node`; `rest` is what follows them. */
function cut(node: Node | null, length: i32): void {
  let at = node;
  for (let i = 1; i < length && at !== null; i++) at = at.next;
  if (at === null) {
    rest = null;
    return;
  }
  rest = at.next;
  at.next = null;
}

let mergedLast: Node | null = null;

/** Appends the two ordered lists, merged, behind `last`, or returns them as the first where there is none. */
function merge(left: Node | null, right: Node | null, first: Node | null): Node | null {
  let head = first;
  while (left !== null || right !== null) {
    let node: Node;
    if (right === null || (left !== null && precedes(left, right))) {
      node = left!;
      left = node.next;
    } else {
      node = right;
      right = node.next;
    }
    node.next = null;
    if (mergedLast === null) head = node;
    else mergedLast!.next = node;
    mergedLast = node;
  }
  return head;
}

function dropGone(directory: Directory): void {
  let last: Node | null = null;
  let node = directory.first;
  while (node !== null) {
    if (node.fileType != GONE) last = node;
    else if (last === null) directory.first = node.next;
    else last.next = node.next;
    node = node.next;
  }
}

export function sortNames(directory: Directory): void {
  dropGone(directory);
  for (let width = 1; ; width *= 2) {
    let from = directory.first;
    let head: Node | null = null;
    let merges = 0;
    mergedLast = null;
    while (from !== null) {
      const left: Node | null = from;
      cut(left, width);
      const right = rest;
      cut(right, width);
      from = rest;
      head = merge(left, right, head);
      merges++;
    }
    directory.first = head;
    if (merges <= 1) return;
  }
}
