// The body of POST /build that our own client sends where it has more to say than a tar: one line of JSON, then the tar.
// Secrets travel only here: never in the query (which logs show) and never in the tar (which is spooled to the disk).
import { GantryError } from '../errors.ts';
import type { BuildEventsType } from './progress.ts';

/** Content-Type of such a body. */
export const BUILD_BODY = 'application/vnd.gantry.build+tar';
/** What a client that wants events (`progress.ts`) sends in Accept; the answer has it as Content-Type. */
export const BUILD_EVENTS = 'application/vnd.gantry.build-events+json' satisfies BuildEventsType;

export interface BuildPreamble {
  /** A Dockerfile that is not in the context (stdin, or a path outside): it replaces the query's `dockerfile`. */
  dockerfile?: { name: string; text: string };
  /** id → content in base64. */
  secrets?: Record<string, string>;
}

/** A secret's bytes at most, as with docker. */
export const MAX_SECRET = 500 * 1024;
/** The line's bytes at most, its end left out. */
const MAX_LINE = 16 << 20;

export function writePreamble(preamble: BuildPreamble): Buffer {
  return Buffer.from(`${JSON.stringify(preamble)}\n`);
}

/** Reads the line; `tar` is what follows it. @throws {GantryError} INVALID_ARGUMENT, TOO_LARGE; never with a part of the line. */
export async function readPreamble(
  body: AsyncIterable<Uint8Array>,
): Promise<{ preamble: BuildPreamble; tar: AsyncIterable<Uint8Array> }> {
  const chunks = body[Symbol.asyncIterator]();
  const line: Uint8Array[] = [];
  for (let size = 0; ; ) {
    const { done, value } = await chunks.next();
    if (done) throw invalid('it ends before its first line does');
    const at = value.indexOf(0x0a);
    const part = at < 0 ? value : value.subarray(0, at);
    line.push(part);
    size += part.length;
    if (size > MAX_LINE)
      throw new GantryError('TOO_LARGE', `Cannot read the build: its first line is longer than ${MAX_LINE >> 20} MiB`);
    if (at < 0) continue;
    const rest = value.subarray(at + 1);
    return {
      preamble: parsePreamble(Buffer.concat(line).toString()),
      tar: rest.length === 0 ? { [Symbol.asyncIterator]: () => chunks } : following(rest, chunks),
    };
  }
}

async function* following(first: Uint8Array, chunks: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* { [Symbol.asyncIterator]: () => chunks };
}

function parsePreamble(text: string): BuildPreamble {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw invalid('its first line is not JSON');
  }
  if (!isRecord(found)) throw invalid('its first line is no object');
  const { dockerfile, secrets, ...more } = found;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) throw invalid(`the field "${unknown}" is not known`);
  if (dockerfile !== undefined && !(isRecord(dockerfile) && isText(dockerfile.name) && isText(dockerfile.text)))
    throw invalid('"dockerfile" must have a name and a text');
  if (secrets !== undefined && !(isRecord(secrets) && Object.values(secrets).every(isText)))
    throw invalid('"secrets" must be texts by their ids');
  return found as BuildPreamble;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function invalid(reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Cannot read the build's body: ${reason}`, {
    hint: 'Let client and engine be of the same version of gantry',
  });
}
