// Rows and columns of a terminal that clients know before it is there.
import { GantryError } from '../../errors.ts';
import type { Fields } from './fields.ts';

/** Undefined where the client has no terminal. */
export function readConsoleSize(fields: Fields): [number, number] | undefined {
  const [rows = 0, columns = 0, ...more] = fields.numbers('ConsoleSize');
  if (more.length > 0 || [rows, columns].some((size) => size < 0 || size > 65535))
    throw new GantryError('INVALID_ARGUMENT', 'Cannot read "ConsoleSize": it must be [rows, columns]');
  return rows === 0 || columns === 0 ? undefined : [rows, columns];
}
