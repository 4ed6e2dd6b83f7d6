// What pulls, loads and builds tell while they work.
import type { IncomingMessage } from 'node:http';
import { engineError } from '../client/api.ts';
import { jsonLines } from '../client/lines.ts';
import { under } from './abort.ts';

/** A line of progress. */
export interface Progress {
  /** Short digest of the layer that it is about. */
  id?: string;
  /** `'Downloading'`, `'Pull complete'`, …; of builds what the steps write, too. */
  status: string;
  /** Bytes so far. */
  current?: number;
  /** Bytes in all. */
  total?: number;
}

interface Line {
  id?: string;
  status?: string;
  stream?: string;
  error?: string;
  errorDetail?: { message?: string };
  aux?: { ID?: string };
  progressDetail?: { current?: number; total?: number };
}

/** Reads an answer to its end. @returns IDs of images that it named, and all it said. @throws {GantryError} what the engine says at last. @internal */
export async function followProgress(
  answer: IncomingMessage,
  told: ((progress: Progress) => void) | undefined,
  signal: AbortSignal | undefined,
): Promise<{ ids: string[]; said: string }> {
  const ids: string[] = [];
  let said = '';
  try {
    await under(signal, async () => {
      for await (const line of jsonLines<Line>(answer)) {
        if (line.error !== undefined) throw engineError(500, JSON.stringify({ ...line, message: line.error }));
        if (line.aux?.ID !== undefined) ids.push(line.aux.ID);
        const status = line.status ?? line.stream ?? '';
        if (line.stream !== undefined) said += line.stream;
        const { current, total } = line.progressDetail ?? {};
        if (status !== '')
          told?.({
            ...(line.id === undefined ? {} : { id: line.id }),
            status,
            ...(current === undefined ? {} : { current }),
            ...(total === undefined ? {} : { total }),
          });
      }
    });
  } finally {
    answer.destroy();
  }
  return { ids, said };
}
