// Variables put into an instruction. What does not take them (RUN's command, CMD, ENTRYPOINT, SHELL, HEALTHCHECK, ONBUILD, MAINTAINER)
// stays as it is; ARG is read by `variables.ts`, which knows what wins.
import type { AddInstruction, CopyInstruction, Instruction, Pair } from './ast.ts';
import { parseFailure, Refusal } from './failure.ts';
import { parseMount } from './mounts.ts';
import { parsePort } from './ports.ts';
import { type Lookup, readWords } from './words.ts';

/** @throws {GantryError} INVALID_ARGUMENT with the instruction's lines. */
export function expandInstruction<T extends Instruction>(instruction: T, lookup: Lookup, escapeToken: '\\' | '`'): T {
  try {
    return expanded(instruction, lookup, escapeToken) as T;
  } catch (error) {
    throw parseFailure(instruction.range, error);
  }
}

/** One word: blanks stay, quotes and escapes go. @throws {Refusal} */
export function expandWord(text: string, lookup: Lookup, escapeToken: '\\' | '`'): string {
  return readWords(text, lookup, { escapeToken }).text;
}

function expanded(instruction: Instruction, lookup: Lookup, escapeToken: '\\' | '`'): Instruction {
  const word = (text: string): string => expandWord(text, lookup, escapeToken);
  const both = ({ name, value }: Pair): Pair => ({ name: word(name), value: word(value) });
  switch (instruction.kind) {
    case 'env':
    case 'label':
      return { ...instruction, pairs: instruction.pairs.map(both) };
    case 'copy':
    case 'add':
      return transfer(instruction, word, lookup);
    case 'run':
      return { ...instruction, mounts: instruction.mounts.map(({ text }) => parseMount(text, word)) };
    case 'expose': {
      const ports = instruction.ports.flatMap((text) => readWords(text, lookup, { escapeToken }).words);
      return { ...instruction, ports: [...new Set(ports.flatMap(parsePort))] };
    }
    case 'volume':
      return { ...instruction, paths: instruction.paths.map(word) };
    case 'user':
      return { ...instruction, user: word(instruction.user) };
    case 'workdir':
      return { ...instruction, path: word(instruction.path) };
    case 'stopsignal':
      return { ...instruction, signal: word(instruction.signal) };
    default:
      return instruction;
  }
}

function transfer<T extends CopyInstruction | AddInstruction>(
  instruction: T,
  word: (text: string) => string,
  lookup: Lookup,
): T {
  const { kind, sources, heredocs, destination, chown, chmod } = instruction;
  const found = {
    ...instruction,
    sources: sources.map(word),
    destination: word(destination),
    ...(chown === undefined ? {} : { chown: word(chown) }),
    ...(chmod === undefined ? {} : { chmod: word(chmod) }),
    exclude: instruction.exclude.map(word),
    heredocs: heredocs.map((heredoc) => ({
      ...heredoc,
      content: heredoc.expand
        ? readWords(heredoc.content, lookup, { escapeToken: '\\', noQuotes: true }).text
        : heredoc.content,
    })),
    ...(instruction.kind === 'add' && instruction.checksum !== undefined
      ? { checksum: word(instruction.checksum) }
      : {}),
  };
  if (found.sources.length + heredocs.length > 1 && !/(^|\/)\.?$/.test(found.destination))
    throw new Refusal(
      `When using ${kind.toUpperCase()} with more than one source file, the destination must be a directory and end with a /`,
    );
  return found;
}
