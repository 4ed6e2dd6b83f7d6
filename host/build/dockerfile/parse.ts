// A Dockerfile's text → stages of typed instructions. Variables are not put in here: `expand.ts` does that while the build runs.
import { GantryError } from '../../errors.ts';
import type { Dockerfile, DockerfileWarning, Instruction, LineRange, Stage } from './ast.ts';
import { parseFailure, Refusal, suggestion, withExcerpt } from './failure.ts';
import { readFlags } from './flags.ts';
import { KEYWORDS, type Reading, readInstruction } from './instructions.ts';
import { type RawInstruction, readSource, type Source } from './lines.ts';
import { plainWords, splitInstruction } from './split.ts';

/**
 * @param name as the user named the file.
 * @throws {GantryError} INVALID_ARGUMENT: "dockerfile parse error on line 3: …", with its lines in the details, and `excerptOf` it.
 */
export function parseDockerfile(text: string, name: string): Dockerfile {
  try {
    return parse(text, name);
  } catch (error) {
    throw error instanceof GantryError ? withExcerpt(error, name, text) : error;
  }
}

function parse(text: string, name: string): Dockerfile {
  const source = readSource(text);
  const file: Dockerfile = {
    name,
    lines: source.lines,
    escapeToken: source.escapeToken,
    globalArgs: [],
    stages: [],
    warnings: source.warnings,
  };
  for (const raw of source.instructions) {
    try {
      addTo(file, raw);
    } catch (error) {
      throw parseFailure(raw.range, error);
    }
  }
  const end = { start: Math.max(1, source.lines.length), end: Math.max(1, source.lines.length) };
  if (source.instructions.length === 0) throw parseFailure(end, new Refusal('file with no instructions'));
  if (file.stages.length === 0)
    throw parseFailure(end, new Refusal('dockerfile contains no stages to build', 'Begin with FROM'));
  file.warnings = checked(file.warnings, source);
  return file;
}

/**
 * An instruction of ONBUILD in a base image.
 * @param range lines of the FROM that brings it.
 * @throws {GantryError} INVALID_ARGUMENT with those lines.
 */
export function parseTrigger(trigger: string, range: LineRange): Instruction {
  try {
    const [raw, ...more] = readSource(trigger).instructions;
    if (raw === undefined || more.length > 0) throw new Refusal('onbuild trigger should be a single expression');
    const reading = readingOf({ ...raw, range }, '\\', []);
    if (reading.keyword === 'FROM') throw new Refusal("FROM isn't allowed as an ONBUILD trigger");
    return instructionOf(reading);
  } catch (error) {
    if (error instanceof GantryError)
      throw new GantryError(error.code, error.message, { ...error, details: { ...range }, cause: error });
    throw parseFailure(range, new Refusal(`ONBUILD ${trigger}: ${(error as Error).message}`));
  }
}

function addTo(file: Dockerfile, raw: RawInstruction): void {
  const reading = readingOf(raw, file.escapeToken, file.warnings);
  if (reading.keyword === 'FROM') {
    file.stages.push(readFrom(reading, file.stages));
    return;
  }
  const instruction = instructionOf(reading);
  const stage = file.stages.at(-1);
  if (stage !== undefined) stage.instructions.push(instruction);
  else if (instruction.kind === 'arg') file.globalArgs.push(instruction);
  else throw new Refusal('no build stage in current context', 'Only ARG may stand in front of the first FROM');
}

function readingOf(
  { text, range, heredocs }: RawInstruction,
  escapeToken: Source['escapeToken'],
  warnings: DockerfileWarning[],
): Reading {
  const split = splitInstruction(text, escapeToken);
  return {
    ...split,
    given: split.keyword,
    keyword: split.keyword.toUpperCase(),
    text: text.trim(),
    range,
    heredocs,
    escapeToken,
    warn: (rule, message) => warnings.push({ rule, message, range }),
  };
}

function instructionOf(reading: Reading): Instruction {
  const instruction = readInstruction(reading);
  if (instruction !== undefined) return instruction;
  throw new Refusal(`unknown instruction: ${reading.given}${suggestion(reading.given, ['FROM', ...KEYWORDS])}`);
}

function readFrom({ given, flags, rest, range, text, warn }: Reading, before: Stage[]): Stage {
  const words = plainWords(rest);
  const platform = readFlags(flags, { platform: 'text' }).text('platform');
  const [base = '', as = '', written = ''] = words;
  if (words.length !== 1 && !(words.length === 3 && as.toLowerCase() === 'as'))
    throw new Refusal('FROM requires either one or three arguments', 'FROM IMAGE, or FROM IMAGE AS NAME');
  const name = written.toLowerCase();
  if (written !== '' && !/^[a-z][a-z0-9-_.]*$/.test(name))
    throw new Refusal(
      `invalid name for build stage: ${JSON.stringify(written)}, name can't start with a number or contain symbols`,
    );
  if (name !== written) warn('StageNameCasing', `Stage name '${written}' should be lowercase`);
  if (as !== '' && (given === given.toUpperCase()) !== (as === as.toUpperCase()))
    warn('FromAsCasing', `'${as}' and '${given}' keywords' casing do not match`);
  if (name !== '' && before.some((stage) => stage.name === name))
    warn('DuplicateStageName', `Duplicate stage name ${JSON.stringify(name)}, stage names should be unique`);
  return {
    index: before.length,
    ...(name === '' ? {} : { name }),
    base,
    ...(platform === undefined ? {} : { platform }),
    range,
    text,
    instructions: [],
  };
}

/** Warnings by what "# check=" says of them. */
function checked(warnings: DockerfileWarning[], { check }: Source): DockerfileWarning[] {
  const kept = warnings.filter(({ rule }) => rule === '' || !(check.skip.includes('all') || check.skip.includes(rule)));
  const wrong = kept.find(({ rule }) => rule !== '');
  if (check.error && wrong !== undefined)
    throw parseFailure(wrong.range, new Refusal(`lint violation found for rules: ${wrong.rule}: ${wrong.message}`));
  return kept;
}
