// The keys that leave a container's terminal without ending anything: found in what is typed.
import { GantryError } from './errors.ts';

const DEFAULT_KEYS = 'ctrl-p,ctrl-q';

/** "ctrl-p,ctrl-q" → bytes; empty: the default. @throws {GantryError} INVALID_ARGUMENT. */
export function parseDetachKeys(text = ''): Buffer {
  const bytes = (text || DEFAULT_KEYS)
    .split(',')
    .filter(Boolean)
    .map((key) => {
      const [, control] = /^ctrl-([a-z@[\\\]^_])$/.exec(key) ?? [];
      if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
      if (key.length === 1) return key.charCodeAt(0);
      throw new GantryError('INVALID_ARGUMENT', `Invalid detach keys (${text}) provided`, {
        hint: 'Such as ctrl-p,ctrl-q',
      });
    });
  return Buffer.from(bytes);
}

/** Passes input on and looks for the keys; what begins like them is held back until it is clear. */
export function createDetachFilter(keys: Buffer): (chunk: Buffer) => { send: Buffer; detach: boolean } {
  let matched = 0;
  return (chunk) => {
    const send: number[] = [];
    for (const byte of chunk) {
      if (byte === keys[matched]) {
        if (++matched === keys.length) return { send: Buffer.from(send), detach: true };
        continue;
      }
      send.push(...keys.subarray(0, matched));
      matched = byte === keys[0] ? 1 : 0;
      if (matched === 0) send.push(byte);
    }
    return { send: Buffer.from(send), detach: false };
  };
}
