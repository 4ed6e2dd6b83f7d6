// Each instruction but FROM: its flags and arguments, read and checked.
import type { AddInstruction, CopyInstruction, Heredoc, Instruction, LineRange } from './ast.ts';
import { chomped, commandForm, readHealthcheck, readRun } from './commands.ts';
import { Refusal } from './failure.ts';
import { readFlags } from './flags.ts';
import { parseHeredoc, type RawHeredoc } from './lines.ts';
import { jsonList, plainWords, quotedWords, readPairs, splitInstruction } from './split.ts';

export interface Reading {
  /** In upper case. */
  keyword: string;
  /** The keyword as written. */
  given: string;
  flags: string[];
  rest: string;
  text: string;
  range: LineRange;
  heredocs: RawHeredoc[];
  escapeToken: '\\' | '`';
  warn(rule: string, message: string): void;
}

/** What an instruction is but for its place. */
type Fields<T> = T extends Instruction ? Omit<T, 'range' | 'text'> : never;
type Reader = (reading: Reading) => Fields<Instruction>;

/** Undefined for a keyword that is not known. @throws {Refusal} */
export function readInstruction(reading: Reading): Instruction | undefined {
  const { keyword, range, text, flags } = reading;
  const read = Object.hasOwn(readers, keyword) ? readers[keyword] : undefined;
  if (read === undefined) return undefined;
  if (!FLAGGED.includes(keyword)) readFlags(flags, {});
  return { ...read(reading), range, text } as Instruction;
}

const FLAGGED = ['RUN', 'COPY', 'ADD', 'HEALTHCHECK'];

function one({ keyword, rest }: Reading): string {
  if (rest === '') throw new Refusal(`${keyword} requires exactly one argument`);
  return rest;
}

function several({ keyword }: Reading, words: string[]): string[] {
  if (words.length === 0) throw new Refusal(`${keyword} requires at least one argument`);
  return words;
}

function pairs(reading: Reading): { name: string; value: string }[] {
  const { keyword, rest, escapeToken, warn } = reading;
  const read = readPairs(keyword, rest, escapeToken);
  if (read.legacy)
    warn(
      'LegacyKeyValueFormat',
      `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`,
    );
  return read.pairs;
}

/** What a variable of this name most likely holds. */
const SECRET = /(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;

function noSecrets({ keyword, warn }: Reading, names: string[]): void {
  for (const name of names)
    if (SECRET.test(name) && !/(?:^|_)public(?:_|$)/i.test(name))
      warn(
        'SecretsUsedInArgOrEnv',
        `Do not use ARG or ENV instructions for sensitive data (${keyword} ${JSON.stringify(name)})`,
      );
}

const copyFlags = { chown: 'text', chmod: 'text', link: 'switch', exclude: 'list' } as const;

/** Sources and destination of COPY and ADD. */
function transfer(
  reading: Reading,
  flags: ReturnType<typeof readFlags>,
): Omit<Fields<CopyInstruction>, 'kind' | 'from' | 'parents'> {
  const { keyword, rest, heredocs } = reading;
  const words = jsonList(rest) ?? plainWords(rest);
  const destination = words.at(-1);
  if (words.length < 2 || destination === undefined)
    throw new Refusal(
      `${keyword} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  const documents = heredocs.length === 0 ? [] : words.map((word) => parseHeredoc(word));
  if (documents.at(-1) !== undefined) throw new Refusal(`${keyword} cannot accept a heredoc as a destination`);
  const content = (name: string): Heredoc[] =>
    heredocs
      .filter((heredoc) => heredoc.name === name)
      .slice(-1)
      .map((heredoc) => ({ name, content: chomped(heredoc), expand: heredoc.expand }));
  const [chown, chmod] = [flags.text('chown'), flags.text('chmod')];
  return {
    sources: words.slice(0, -1).filter((_word, index) => documents[index] === undefined),
    heredocs: documents.flatMap((found) => (found === undefined ? [] : content(found.name))),
    destination,
    ...(chown ? { chown } : {}),
    ...(chmod ? { chmod } : {}),
    link: flags.switch('link') === true,
    exclude: flags.list('exclude'),
  };
}

function readCopy(reading: Reading): Fields<CopyInstruction> {
  const flags = readFlags(reading.flags, { ...copyFlags, from: 'text', parents: 'switch' });
  const from = flags.text('from');
  if (from !== undefined && /\$./.test(from))
    throw new Refusal(
      'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
    );
  const found = transfer(reading, flags);
  if (found.heredocs.length > 0 && from) throw new Refusal('COPY --from cannot take a heredoc');
  return { kind: 'copy', ...found, ...(from ? { from } : {}), parents: flags.switch('parents') === true };
}

function readAdd(reading: Reading): Fields<AddInstruction> {
  const flags = readFlags(
    reading.flags,
    { ...copyFlags, checksum: 'text', unpack: 'switch' },
    { 'keep-git-dir': 'git repositories are not fetched' },
  );
  const [checksum, unpack] = [flags.text('checksum'), flags.switch('unpack')];
  const found = transfer(reading, flags);
  if (checksum && found.sources.length + found.heredocs.length !== 1)
    throw new Refusal('checksum requires a single source');
  return {
    kind: 'add',
    ...found,
    ...(checksum ? { checksum } : {}),
    ...(unpack === undefined ? {} : { unpack }),
  };
}

function readOnbuild(reading: Reading): Fields<Instruction> {
  const { rest, heredocs, escapeToken } = reading;
  if (rest === '') throw new Refusal('ONBUILD requires at least one argument');
  const inner = splitInstruction(rest, escapeToken);
  const keyword = inner.keyword.toUpperCase();
  if (keyword === 'ONBUILD') throw new Refusal("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (keyword === 'MAINTAINER' || keyword === 'FROM')
    throw new Refusal(`${keyword} isn't allowed as an ONBUILD trigger`);
  const text = reading.text.replace(/^\S+\s*/, '');
  // An instruction that the next build would refuse is refused here.
  if (readInstruction({ ...reading, ...inner, keyword, given: inner.keyword, text, warn: () => {} }) === undefined)
    throw new Refusal(`unknown instruction: ${inner.keyword}`);
  return { kind: 'onbuild', trigger: text + heredocs.map(({ content, name }) => `\n${content}${name}`).join('') };
}

function readShell({ rest, text }: Reading): Fields<Instruction> {
  const words = jsonList(rest);
  if (words === undefined && rest !== '') throw new Refusal(`SHELL requires the arguments to be in JSON form: ${text}`);
  if (words === undefined || words.length === 0) throw new Refusal('SHELL requires at least one argument');
  return { kind: 'shell', words };
}

function started(kind: 'cmd' | 'entrypoint', { keyword, rest, warn }: Reading): Fields<Instruction> {
  const command = commandForm(rest);
  if (command.form === 'shell')
    warn(
      'JSONArgsRecommended',
      `JSON arguments recommended for ${keyword} to prevent unintended behavior related to OS signals`,
    );
  return { kind, command };
}

const readers: Record<string, Reader> = {
  ADD: readAdd,
  ARG(reading) {
    const words = several(reading, quotedWords(reading.rest, reading.escapeToken));
    const args = words.map((word) => {
      const at = word.indexOf('=');
      if (at === 0) throw new Refusal('ARG names can not be blank');
      return at < 0 ? { name: word } : { name: word.slice(0, at), value: word.slice(at + 1) };
    });
    noSecrets(
      reading,
      args.map(({ name }) => name),
    );
    return { kind: 'arg', args };
  },
  CMD: (reading) => started('cmd', reading),
  COPY: readCopy,
  ENTRYPOINT: (reading) => started('entrypoint', reading),
  ENV(reading) {
    const found = pairs(reading);
    noSecrets(
      reading,
      found.map(({ name }) => name),
    );
    return { kind: 'env', pairs: found };
  },
  EXPOSE: (reading) => ({ kind: 'expose', ports: several(reading, plainWords(reading.rest)) }),
  HEALTHCHECK: ({ flags, rest }) => ({ kind: 'healthcheck', check: readHealthcheck(flags, rest) }),
  LABEL: (reading) => ({ kind: 'label', pairs: pairs(reading) }),
  MAINTAINER(reading) {
    reading.warn('MaintainerDeprecated', 'Maintainer instruction is deprecated in favor of using label');
    return { kind: 'maintainer', maintainer: one(reading) };
  },
  ONBUILD: readOnbuild,
  RUN: ({ flags, rest, heredocs }) => ({ kind: 'run', ...readRun(flags, rest, heredocs) }),
  SHELL: readShell,
  STOPSIGNAL: (reading) => ({ kind: 'stopsignal', signal: one(reading) }),
  USER: (reading) => ({ kind: 'user', user: one(reading) }),
  VOLUME(reading) {
    const paths = several(reading, jsonList(reading.rest) ?? plainWords(reading.rest)).map((path) => path.trim());
    if (paths.includes('')) throw new Refusal('VOLUME specified can not be an empty string');
    return { kind: 'volume', paths };
  },
  WORKDIR: (reading) => ({ kind: 'workdir', path: one(reading) }),
};

export const KEYWORDS = Object.keys(readers);
