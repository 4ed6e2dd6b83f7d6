// Dockerfiles → typed instructions with their lines; what is refused, and where.
import { describe, expect, it } from 'vitest';
import type { Instruction } from '../../../../host/build/dockerfile/ast.ts';
import { excerptOf, failureRange, sourceRange } from '../../../../host/build/dockerfile/failure.ts';
import { parseDockerfile, parseTrigger } from '../../../../host/build/dockerfile/parse.ts';
import type { GantryError } from '../../../../host/errors.ts';

const parse = (text: string) => parseDockerfile(text, 'Dockerfile');

/** The one instruction behind a FROM. */
function only(text: string): Instruction {
  const { instructions } = parse(`FROM base\n${text}\n`).stages[0]!;
  expect(instructions).toHaveLength(1);
  return instructions[0]!;
}

function failure(text: string): GantryError {
  try {
    parse(text);
  } catch (error) {
    return error as GantryError;
  }
  throw new Error('It was accepted');
}

/** Ranges as "1-3". */
const places = (text: string): string[] =>
  parse(text).stages.flatMap(({ range, instructions }) =>
    [{ range }, ...instructions].map(({ range: { start, end } }) => `${start}-${end}`),
  );

describe('instructions', () => {
  it('know their lines, and their text on one', () => {
    const text = 'FROM a\n\n# note\nRUN one \\\n  # inside\n\n  two \\  \n  three\r\nCMD x\n';
    expect(places(text)).toEqual(['1-1', '4-8', '9-9']);
    expect(parse(text).stages[0]!.instructions[0]!.text).toBe('RUN one   two   three');
  });

  it.each([
    ['FROM a\nRUN x \\\\\nCMD y', ['1-1', '2-2', '3-3'], 'an escaped escape does not continue a line'],
    ['FR\\\nOM a\nRUN\\\n x', ['1-2', '3-4'], 'a keyword may be continued'],
    ['\ufeffFROM a\r\nRUN x \\\r\n y\r\n', ['1-1', '2-3'], 'byte order mark and CR LF'],
    ['FROM a\nRUN <<A cat <<B\n1\nA\nRUN 2\nB\nCMD x', ['1-1', '2-6', '7-7'], 'two heredocs'],
    ['FROM a\nRUN cat 3<<EOF\nRUN x\nEOF\nCMD y', ['1-1', '2-4', '5-5'], 'a heredoc with a descriptor'],
    ['FROM a\nRUN cat << EOF\nRUN x\nEOF\nCMD y', ['1-1', '2-4', '5-5'], 'a heredoc with a blank'],
    ['FROM a\nRUN echo "cat <<EOF"\nCMD y', ['1-1', '2-2', '3-3'], 'no heredoc in quotes'],
    ["FROM a\nRUN echo ' <<EOF '\nCMD y", ['1-1', '2-2', '3-3'], 'nor in others'],
    ['FROM a\nRUN ["a", "<<EOF"]\nCMD y', ['1-1', '2-2', '3-3'], 'nor in the exec form'],
    ['FROM a\nRUN cat <<<EOF\nCMD y', ['1-1', '2-2', '3-3'], 'a here string is none'],
    ['FROM a\nENV x=<<EOF\nCMD y', ['1-1', '2-2', '3-3'], 'other instructions have none'],
    ['FROM a\nRUN <<EOF\nx \\\nEOF\nCMD y', ['1-1', '2-4', '5-5'], 'a last line that ends with the escape'],
    ['FROM a\nONBUILD RUN <<EOF\nx\nEOF\nCMD y', ['1-1', '2-4', '5-5'], 'ONBUILD'],
  ])('%j', (text, expected, why) => {
    expect(places(text), why).toEqual(expected);
  });

  it.each<[string, object]>([
    ['RUN echo $A "b c"', { kind: 'run', command: { form: 'shell', text: 'echo $A "b c"' }, network: 'default' }],
    ['run ["a", "b c"]', { kind: 'run', command: { form: 'exec', words: ['a', 'b c'] } }],
    ["RUN ['a']", { kind: 'run', command: { form: 'shell', text: "['a']" } }],
    ['RUN --network=none -- --x', { network: 'none', command: { form: 'shell', text: '--x' } }],
    ['RUN <<E\na\nb\nE', { command: { form: 'shell', text: 'a\nb\n' } }],
    ['RUN <<-E\n\ta\n\t\tb\n\tE', { command: { form: 'shell', text: 'a\nb\n' } }],
    ['RUN <<E\n#!/bin/x\nb\nE', { command: { form: 'script', name: 'E', content: '#!/bin/x\nb\n' } }],
    ['RUN cat <<-"E" > /f\n\ta\nE', { command: { form: 'shell', text: 'cat <<-"E" > /f\n\ta\nE' } }],
    ['CMD ["a"]', { kind: 'cmd', command: { form: 'exec', words: ['a'] } }],
    ['CMD []', { command: { form: 'exec', words: [] } }],
    ['ENTRYPOINT a b', { kind: 'entrypoint', command: { form: 'shell', text: 'a b' } }],
    [
      'ENV a=b c="d e" f=g\\ h',
      {
        kind: 'env',
        pairs: [
          { name: 'a', value: 'b' },
          { name: 'c', value: '"d e"' },
          { name: 'f', value: 'g\\ h' },
        ],
      },
    ],
    ['ENV a  b  c=d', { pairs: [{ name: 'a', value: 'b  c=d' }] }],
    ['LABEL "a b"=c', { kind: 'label', pairs: [{ name: '"a b"', value: 'c' }] }],
    ['ARG a b=c d=', { kind: 'arg', args: [{ name: 'a' }, { name: 'b', value: 'c' }, { name: 'd', value: '' }] }],
    ['EXPOSE 80 53/udp', { kind: 'expose', ports: ['80', '53/udp'] }],
    ['VOLUME /a /b', { kind: 'volume', paths: ['/a', '/b'] }],
    ['VOLUME ["/a b"]', { paths: ['/a b'] }],
    ['USER a:b', { kind: 'user', user: 'a:b' }],
    ['WORKDIR /a b', { kind: 'workdir', path: '/a b' }],
    ['STOPSIGNAL 9', { kind: 'stopsignal', signal: '9' }],
    ['MAINTAINER A <a@b>', { kind: 'maintainer', maintainer: 'A <a@b>' }],
    ['SHELL ["a", "-c"]', { kind: 'shell', words: ['a', '-c'] }],
    ['ONBUILD  run  a', { kind: 'onbuild', trigger: 'run  a' }],
    ['ONBUILD COPY <<E /x\na\nE', { kind: 'onbuild', trigger: 'COPY <<E /x\na\nE' }],
    ['COPY a b /c/', { kind: 'copy', sources: ['a', 'b'], destination: '/c/', link: false, parents: false }],
    ['COPY ["a b", "/c d"]', { sources: ['a b'], destination: '/c d' }],
    [
      'COPY --from=x --chown=1:2 --chmod=755 --link --exclude=*.o --exclude=t --parents a /b',
      { from: 'x', chown: '1:2', chmod: '755', link: true, exclude: ['*.o', 't'], parents: true },
    ],
    [
      'COPY <<a <<"b" /d/\n$A\na\n$B\nb',
      {
        sources: [],
        heredocs: [
          { name: 'a', content: '$A\n', expand: true },
          { name: 'b', content: '$B\n', expand: false },
        ],
      },
    ],
    ['ADD --checksum=sha256:00 --unpack=false https://x/y /z', { kind: 'add', checksum: 'sha256:00', unpack: false }],
    ['HEALTHCHECK NONE', { kind: 'healthcheck', check: { test: ['NONE'], interval: 0 } }],
    [
      'HEALTHCHECK --interval=1m30.5s --timeout=3s --start-period=1h --start-interval=200ms --retries=4 CMD a b',
      {
        check: {
          test: ['CMD-SHELL', 'a b'],
          interval: 90.5e9,
          timeout: 3e9,
          startPeriod: 3600e9,
          startInterval: 2e8,
          retries: 4,
        },
      },
    ],
    ['HEALTHCHECK CMD ["a"]', { check: { test: ['CMD', 'a'] } }],
  ])('%s', (text, expected) => {
    expect(only(text)).toMatchObject(expected);
  });
});

describe('mounts', () => {
  const mount = (text: string): unknown => (only(`RUN --mount=${text} x`) as { mounts: unknown[] }).mounts[0];

  it.each<[string, object]>([
    ['target=/a', { type: 'bind', source: '', target: '/a', writable: false }],
    ['type=bind,from=x,src=/s,dst=/d,rw', { from: 'x', source: '/s', target: '/d', writable: true }],
    ['type=cache,target=/c', { id: '/c', sharing: 'shared', mode: 0o755, uid: 0, gid: 0, readOnly: false }],
    [
      'type=cache,id=i,target=/c,sharing=locked,uid=1,gid=2,mode=0700,ro',
      {
        id: 'i',
        sharing: 'locked',
        mode: 0o700,
        uid: 1,
        gid: 2,
        readOnly: true,
      },
    ],
    ['type=tmpfs,target=/t,size=64m', { type: 'tmpfs', size: 64 << 20 }],
    ['type=secret,id=k', { type: 'secret', id: 'k', target: '/run/secrets/k', required: false, mode: 0o400 }],
    ['type=secret,id=k,env=K', { env: 'K', target: '' }],
    ['type=secret,target=/x/k,required', { id: 'k', target: '/x/k', required: true }],
    ['\\"target=/a,b\\"', { target: '/a,b' }],
  ])('%s', (text, expected) => {
    expect(mount(text)).toMatchObject(expected);
  });

  it.each([
    ['type=ssh', /"ssh" are not supported/],
    ['type=cach,target=/x', /unsupported mount type "cach" \(did you mean cache\?\)/],
    ['type=bind', /has no target/],
    ['type=bind,target=/x,uid=1', /unexpected key 'uid' for mount type 'bind'/],
    ['type=cache,target=/x,tagret=/y', /unexpected key 'tagret' in 'tagret=\/y' \(did you mean target\?\)/],
    ['type=cache,target', /invalid field 'target' must be a key=value pair/],
    ['type=cache,target=/x,mode=9', /invalid value for mode: 9/],
    ['type=cache,target=/x,sharing=lock', /unsupported sharing value/],
    ['type=bind,target=/x,from=$y', /'from' doesn't support variable expansion/],
    ['type=secret', /one of source, target required/],
    ['type=tmpfs,target=/x,size=much', /invalid value for size: much/],
  ])('%s is refused', (text, reason) => {
    expect(failure(`FROM a\nRUN --mount=${text} x`).message).toMatch(reason);
  });
});

describe('stages', () => {
  it('have names, platforms and global arguments', () => {
    const { globalArgs, stages } = parse('ARG V=1\nFROM --platform=$BUILDPLATFORM a:$V AS Build\nRUN x\nfrom build\n');
    expect(globalArgs).toMatchObject([{ args: [{ name: 'V', value: '1' }] }]);
    expect(stages).toMatchObject([
      { index: 0, name: 'build', base: 'a:$V', platform: '$BUILDPLATFORM', instructions: [{ kind: 'run' }] },
      { index: 1, base: 'build', instructions: [] },
    ]);
    expect(stages[1]).not.toHaveProperty('name');
  });
});

describe('directives', () => {
  it('set the escape, once, and only at the top', () => {
    const text = '# syntax=docker/dockerfile:1\n# Escape = `\nFROM a\nRUN a `\n b\nCOPY x c:\\\n';
    expect(parse(text)).toMatchObject({
      escapeToken: '`',
      stages: [{ instructions: [{ text: 'RUN a  b' }, { destination: 'c:\\' }] }],
    });
    expect(parse('# note\n# escape=`\nFROM a\nRUN a \\\n b\n').escapeToken).toBe('\\');
    expect(failure('# escape=x\nFROM a').message).toContain("line 1: invalid escape token 'x'");
    expect(failure('# escape=`\n# escape=`\nFROM a').message).toContain('line 2: only one escape');
  });

  it('tell that another frontend is not loaded', () => {
    expect(parse('# syntax=docker/dockerfile:1.7\nFROM a').warnings).toEqual([]);
    expect(parse('# syntax=me/mine\nFROM a').warnings).toMatchObject(
      [{ message: /"me\/mine" is not loaded/ }].map(({ message }) => ({ message: expect.stringMatching(message) })),
    );
  });

  it('skip checks, or make errors of them', () => {
    const text = 'FROM a\nMAINTAINER b\nCMD x\n';
    expect(parse(text).warnings.map(({ rule }) => rule)).toEqual(['MaintainerDeprecated', 'JSONArgsRecommended']);
    expect(parse(`# check=skip=JSONArgsRecommended\n${text}`).warnings).toHaveLength(1);
    expect(parse(`# check=skip=all\n${text}`).warnings).toEqual([]);
    expect(failure(`# check=error=true\n${text}`).message).toMatch(/line 3: lint violation.*MaintainerDeprecated/);
  });
});

it('warns of what is most likely not meant', () => {
  const text = [
    'FROM a AS Up',
    'FROM a as up',
    'ENV old value',
    'ARG DB_PASSWORD',
    'ENV PUBLIC_KEY=x',
    'RUN a \\',
    '',
    ' b',
  ].join('\n');
  expect(
    parse(text)
      .warnings.map(({ rule, range }) => `${range.start} ${rule}`)
      .sort(),
  ).toEqual([
    '1 StageNameCasing',
    '2 DuplicateStageName',
    '2 FromAsCasing',
    '3 LegacyKeyValueFormat',
    '4 SecretsUsedInArgOrEnv',
    '6 NoEmptyContinuation',
  ]);
});

describe('refused:', () => {
  it.each([
    ['', 'line 1: file with no instructions'],
    ['# a\n\n', 'line 2: file with no instructions'],
    ['ARG x\n', 'line 1: dockerfile contains no stages to build'],
    ['RUN x', 'line 1: no build stage in current context'],
    ['FORM a', 'line 1: unknown instruction: FORM (did you mean FROM?)'],
    ['FROM a\n\nruun x', 'line 3: unknown instruction: ruun (did you mean run?)'],
    ['FROM a\nQUUX x', 'line 2: unknown instruction: QUUX'],
    ['FROM a b', 'line 1: FROM requires either one or three arguments'],
    ['FROM a AS 1x', 'line 1: invalid name for build stage: "1x", name can\'t start with a number or contain symbols'],
    ['FROM --plattform=x a', 'line 1: unknown flag: --plattform (did you mean platform?)'],
    ['FROM a\nCOPY --chwon=1 a b', 'line 2: unknown flag: --chwon (did you mean chown?)'],
    ['FROM a\nCOPY --chown a b', 'line 2: missing a value on flag: --chown'],
    ['FROM a\nCOPY --link=1 a b', 'line 2: expecting boolean value for flag --link, not: 1'],
    ['FROM a\nCOPY --chown=1 --chown=2 a b', 'line 2: duplicate flag specified: --chown'],
    ['FROM a\nCOPY --from=$x a b', 'line 2: variable expansion is not supported for --from'],
    ['FROM a\nCOPY a', 'line 2: COPY requires at least two arguments'],
    ['FROM a\nCOPY a <<E\nE', 'line 2: COPY cannot accept a heredoc as a destination'],
    ['FROM a\nADD --keep-git-dir a b', 'line 2: --keep-git-dir is not supported: git repositories'],
    ['FROM a\nRUN', 'line 2: RUN requires at least one argument'],
    ['FROM a\nRUN --security=insecure x', 'line 2: --security is not supported: RUN never gets more'],
    ['FROM a\nRUN --network=bridge x', 'line 2: invalid network mode "bridge"'],
    ['FROM a\nRUN ["a", 1]', 'line 2: when using JSON array syntax, arrays must be comprised of strings only'],
    ['FROM a\nRUN <<EOF\nx\n', 'line 2: unterminated heredoc'],
    ['FROM a\nENV x', 'line 2: ENV must have two arguments'],
    ['FROM a\nENV a=b c', 'line 2: Syntax error - can\'t find = in "c"'],
    ['FROM a\nENV =b', 'line 2: ENV names can not be blank'],
    ['FROM a\nUSER', 'line 2: USER requires exactly one argument'],
    ['FROM a\nUSER --x y', 'line 2: unknown flag: --x'],
    ['FROM a\nSHELL sh -c', 'line 2: SHELL requires the arguments to be in JSON form'],
    ['FROM a\nVOLUME [""]', 'line 2: VOLUME specified can not be an empty string'],
    ['FROM a\nONBUILD ONBUILD RUN x', "line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ['FROM a\nONBUILD FROM x', "line 2: FROM isn't allowed as an ONBUILD trigger"],
    ['FROM a\nONBUILD COPY x', 'line 2: COPY requires at least two arguments'],
    ['FROM a\nHEALTHCHECK', 'line 2: HEALTHCHECK requires at least one argument'],
    ['FROM a\nHEALTHCHECK NONE x', 'line 2: HEALTHCHECK NONE takes no arguments'],
    ['FROM a\nHEALTHCHECK HTTP x', 'line 2: Unknown type "HTTP" in HEALTHCHECK (try CMD)'],
    ['FROM a\nHEALTHCHECK --interval=5 CMD x', 'line 2: time: invalid duration "5"'],
    ['FROM a\nHEALTHCHECK --interval=5us CMD x', 'line 2: Interval "interval" cannot be less than 1ms'],
    ['FROM a\nHEALTHCHECK --retries=-1 CMD x', 'line 2: --retries cannot be negative (-1)'],
  ])('%j', (text, message) => {
    const error = failure(text);
    expect(error.message).toContain(`dockerfile parse error on ${message}`);
    expect(error.code).toBe('INVALID_ARGUMENT');
    const line = Number(/line (\d+)/.exec(message)![1]);
    expect(failureRange(error)?.start).toBe(line);
  });

  it('a file without an end', () => {
    expect(failure(`FROM a\n${'RUN x\n'.repeat(1 << 20)}`).code).toBe('TOO_LARGE');
  });
});

it('cuts an excerpt around the lines that are meant', () => {
  const lines = Array.from({ length: 20 }, (_, index) => `line ${index + 1}`);
  const cut = (start: number, end: number): number[] => {
    const { first, lines: shown } = sourceRange('Dockerfile', lines, { start, end });
    return [first, first + shown.length - 1];
  };
  expect(cut(10, 10)).toEqual([8, 12]);
  expect(cut(1, 1)).toEqual([1, 3]);
  expect(cut(20, 20)).toEqual([18, 20]);
  expect(cut(5, 9)).toEqual([4, 10]);
});

it('an error of the whole file knows its lines', () => {
  expect(excerptOf(failure('FROM a\r\nFORM b\r\n'))).toEqual({
    file: 'Dockerfile',
    start: 2,
    end: 2,
    first: 1,
    lines: ['FROM a', 'FORM b', ''],
  });
});

describe('triggers of ONBUILD', () => {
  const range = { start: 4, end: 4 };

  it('are instructions at the lines of FROM', () => {
    expect(parseTrigger('COPY <<E /x\na\nE', range)).toMatchObject({
      kind: 'copy',
      range,
      heredocs: [{ name: 'E', content: 'a\n' }],
    });
  });

  it.each(['FROM x', 'RUN a\nRUN b', 'COPY a', ''])('%j is refused', (trigger) => {
    expect(() => parseTrigger(trigger, range)).toThrow(/line 4: /);
  });
});

it('reads a large file in no time worth telling', () => {
  expect(parse(`FROM a\n${'RUN echo "<<EOF" \\\n  && true\n'.repeat(10_000)}`).stages[0]!.instructions).toHaveLength(
    10_000,
  );
  expect(parse(`FROM a\nRUN x${' \\\n  && y'.repeat(20_000)}`).stages[0]!.instructions).toHaveLength(1);
});
