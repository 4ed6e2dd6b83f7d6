// Linux signal numbers by name (signal(7)); the same on x86-64 and arm64, whatever this process runs on.
import { GantryError } from '../errors.ts';

const names =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'.split(
    ' ',
  );
const aliases: Record<string, number> = { IOT: 6, POLL: 29, RTMIN: 34, RTMAX: 64 };

export const SIGKILL = 9;

/** "SIGTERM", "term", "15", "RTMIN+3" → number. @throws {GantryError} INVALID_ARGUMENT. */
export function signalNumber(text: string): number {
  const name = text.toUpperCase().replace(/^SIG/, '');
  const [, realtime, sign = '+', offset = '0'] = /^(RTMIN|RTMAX)(?:([+-])(\d+))?$/.exec(name) ?? [];
  const base = realtime === undefined ? undefined : aliases[realtime]!;
  const index = names.indexOf(name);
  const number =
    base !== undefined
      ? base + (sign === '-' ? -1 : 1) * Number(offset)
      : /^\d+$/.test(name)
        ? Number(name)
        : index >= 0
          ? index + 1
          : aliases[name];
  if (number === undefined || number < 0 || number > 64)
    throw new GantryError('INVALID_ARGUMENT', `Invalid signal: ${text}`, { hint: 'signal(7) lists them' });
  return number;
}
