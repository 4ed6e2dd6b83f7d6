// What the front of gantry-runtime and its planner say to each other (layout in core-asm/abi.ts).
import * as abi from '../../core-asm/abi.ts';
import { GantryError } from '../errors.ts';

export interface Question {
  /** "command", "id", "bundle" and the options of the command line; those that may come more than once are lists. */
  words: Map<string, string[]>;
  /** config.json of the container, or a program. */
  about: Uint8Array;
}

/** A length beyond this is no question of ours. */
const QUESTION_MAX = 64 * 1024 * 1024;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The first question of the bytes and how long it is; undefined where some of it is still to come. @throws {Error} what is no question. */
export function readQuestion(bytes: Buffer): { question: Question; length: number } | undefined {
  if (bytes.length < 8) return undefined;
  const wordsLength = bytes.readUInt32LE(0);
  const aboutLength = bytes.readUInt32LE(4);
  if (wordsLength + aboutLength > QUESTION_MAX) throw new Error('question too long');
  const length = 8 + wordsLength + aboutLength;
  if (bytes.length < length) return undefined;
  const words = new Map<string, string[]>();
  for (const entry of decoder
    .decode(bytes.subarray(8, 8 + wordsLength))
    .split('\0')
    .slice(0, -1)) {
    const at = entry.indexOf('=');
    const key = entry.slice(0, at);
    words.set(key, [...(words.get(key) ?? []), entry.slice(at + 1)]);
  }
  return { question: { words, about: bytes.subarray(8 + wordsLength, length) }, length };
}

export type Part = [kind: number, content: Uint8Array | string];

export function writeAnswer(parts: Part[]): Buffer {
  const pieces: Uint8Array[] = [];
  for (const [kind, content] of [...parts, [abi.RUNTIME_DONE, ''] satisfies Part]) {
    const bytes = typeof content === 'string' ? encoder.encode(content) : content;
    const header = Buffer.alloc(8);
    header.writeUInt32LE(kind, 0);
    header.writeUInt32LE(bytes.length, 4);
    pieces.push(header, bytes);
  }
  return Buffer.concat(pieces);
}

/** @throws {GantryError} where it is no JSON. */
export function parsed(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new GantryError('INVALID_ARGUMENT', `Cannot read ${what}: ${(cause as Error).message}`, { cause });
  }
}
