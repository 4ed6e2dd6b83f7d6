// The core's refusal codes → the sentence that a user reads. One line a code; the core itself holds no prose.
import { GantryError } from '../errors.ts';
import type { Refusal } from './refusal.ts';
import { resourceRefusals } from './resource-refusals.ts';
import { specRefusals } from './spec-refusals.ts';

const refusals: Record<string, Refusal> = {
  BAD_INPUT: {
    error: 'INTERNAL',
    message: (field) => `Cannot plan: the request's "${field}" is malformed`,
  },
  ...resourceRefusals,
  ...specRefusals,
};

/** @returns the error for a refusal; an unknown code is a bug and says so. */
export function refusalError(code: string, field: string, value: string, detail: string): GantryError {
  const entry = refusals[code];
  if (entry === undefined)
    return new GantryError('INTERNAL', `Cannot plan: the core refused "${field}" with the unknown code "${code}"`);
  const hint = typeof entry.hint === 'function' ? entry.hint(field, value, detail) : entry.hint;
  return new GantryError(entry.error, entry.message(field, value, detail), { hint, details: { field, value } });
}
