// QEMU's own control socket (QMP): commands and events as lines of JSON. Whoever may use it has the machine, so only the user may.
import type { Socket } from 'node:net';
import { GantryError } from '../errors.ts';

export interface Qmp {
  /** @throws {GantryError} BACKEND_UNAVAILABLE with what QEMU says. */
  execute<T = unknown>(command: string, given?: Record<string, unknown>): Promise<T>;
  /** Resolves when QEMU or `close` has closed it. */
  readonly closed: Promise<void>;
  close(): void;
}

interface Answer {
  return?: unknown;
  error?: { desc: string };
  event?: string;
  data?: Record<string, unknown>;
}

/** Far more than QEMU ever says in one line. */
const LINE_MAX = 4 * 1024 ** 2;

/** @param told gets events: "STOP", "BLOCK_IO_ERROR"…. @throws {GantryError} BACKEND_UNAVAILABLE. */
export async function openQmp(
  socket: Socket,
  told: (event: string, data: Record<string, unknown>) => void,
): Promise<Qmp> {
  const waiting: { command: string; settle(answer: Answer): void }[] = [];
  let held = '';
  socket.setEncoding('utf8');
  socket.on('error', () => {});
  socket.on('data', (text: string) => {
    held += text;
    for (let end = held.indexOf('\n'); end >= 0; end = held.indexOf('\n')) {
      const line = held.slice(0, end);
      held = held.slice(end + 1);
      const answer = parse(line);
      if (answer?.event !== undefined) told(answer.event, answer.data ?? {});
      else if (answer !== undefined && ('return' in answer || 'error' in answer)) waiting.shift()?.settle(answer);
    }
    if (held.length > LINE_MAX) socket.destroy();
  });
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      for (const { settle } of waiting.splice(0)) settle({ error: { desc: 'QEMU has ended' } });
      resolve();
    });
  });
  const execute = <T>(command: string, given?: Record<string, unknown>): Promise<T> =>
    new Promise((resolve, reject) => {
      const settle = ({ error, return: value }: Answer): void => {
        if (error === undefined) resolve(value as T);
        else reject(new GantryError('BACKEND_UNAVAILABLE', `Cannot carry out "${command}" of QEMU: ${error.desc}`));
      };
      if (!socket.writable) return settle({ error: { desc: 'QEMU has ended' } });
      waiting.push({ command, settle });
      socket.write(`${JSON.stringify({ execute: command, ...(given === undefined ? {} : { arguments: given }) })}\n`);
    });
  await execute('qmp_capabilities');
  return { execute, closed, close: () => void socket.destroy() };
}

function parse(line: string): Answer | undefined {
  try {
    return JSON.parse(line) as Answer;
  } catch {
    return undefined; // A line that was cut by QEMU's end.
  }
}
