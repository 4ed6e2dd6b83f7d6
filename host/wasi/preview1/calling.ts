// What the functions of preview 1 have in common. Types only.
import type { Descriptors } from './descriptors.ts';
import type { Memory } from './memory.ts';

/** Returns an errno, or nothing where it has worked; throws what errno.ts knows. */
export type Call = (...operands: never[]) => unknown;

/** What calls work with. */
export interface Calling {
  memory: Memory;
  open: Descriptors;
}
