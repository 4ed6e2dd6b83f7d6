// The exports of erofs.wasm. One instance makes one image: the host asks what to do next, and does it.
import { ACTION_DONE } from './abi';
import { readArchive, streamEnded } from './archive';
import { finishImage } from './directories';
import { entry } from './entry';
import { current, endBlock, positionOf, takeAction } from './image';

export { entryCount, fileBytes } from './entries';
export { limitMemory, refusal } from './memory';

/** What the host is to do next: one of abi.ts. A trap is a refusal() where that is not 0. */
export function next(): i32 {
  while (!takeAction()) if (!readArchive() && !finishImage()) return ACTION_DONE;
  return current.kind;
}

export function pointer(): i32 {
  return current.pointer;
}

export function length(): f64 {
  return current.length;
}

export function position(): f64 {
  return current.position;
}

/** The stream has ended after `got` bytes of what was asked for. */
export function ended(got: i32): void {
  streamEnded(got);
}

/** Bytes of the image. */
export function imageSize(): f64 {
  return positionOf(endBlock());
}

/** The name that a refusal is about. */
export function namePointer(): usize {
  return entry.name;
}

export function nameLength(): i32 {
  return entry.nameLength;
}
