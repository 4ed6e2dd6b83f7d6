// Which variable is seen where, and which instructions take them.
import { describe, expect, it } from 'vitest';
import type { Instruction } from '../../../../host/build/dockerfile/ast.ts';
import { expandInstruction } from '../../../../host/build/dockerfile/expand.ts';
import { parseDockerfile } from '../../../../host/build/dockerfile/parse.ts';
import { globalVariables, StageVariables } from '../../../../host/build/dockerfile/variables.ts';

const platforms = {
  buildPlatform: { os: 'linux', architecture: 'amd64' },
  targetPlatform: { os: 'linux', architecture: 'arm', variant: 'v7' },
  targetStage: '',
};

/** Goes through the last stage as a build does. */
function walk(text: string, buildArgs: Record<string, string> = {}, env: string[] = []) {
  const file = parseDockerfile(text, 'Dockerfile');
  const global = globalVariables(file, { buildArgs, ...platforms });
  const variables = new StageVariables(env, global, { buildArgs, escapeToken: file.escapeToken });
  const seen: Instruction[] = [];
  for (const instruction of file.stages.at(-1)!.instructions) {
    if (instruction.kind === 'arg') variables.declare(instruction);
    const expanded = expandInstruction(instruction, variables.lookup, file.escapeToken);
    if (expanded.kind === 'env') variables.assign(expanded.pairs);
    seen.push(expanded);
  }
  return { variables, seen, last: seen.at(-1)!, global };
}

/** Value of the last LABEL. */
function label(text: string, buildArgs?: Record<string, string>, env?: string[]): string {
  const { last } = walk(text, buildArgs, env);
  return last.kind === 'label' ? last.pairs[0]!.value : '';
}

describe('global arguments', () => {
  it('are expanded one after the other, and --build-arg replaces their defaults', () => {
    const text = 'ARG V=1\nARG FULL=$V.0-$TARGETARCH$TARGETVARIANT\nFROM a';
    expect(walk(text).global.get('FULL')).toBe('1.0-armv7');
    expect(walk(text, { V: '2' }).global.get('FULL')).toBe('2.0-armv7');
    expect(walk(text, { TARGETARCH: 'x' }).global.get('FULL')).toBe('1.0-xv7');
    expect(walk(text).global.get('TARGETPLATFORM')).toBe('linux/arm/v7');
    expect(walk(text).global.get('BUILDPLATFORM')).toBe('linux/amd64');
  });

  it('are seen in a stage that declares them, and there only', () => {
    expect(label('ARG V=1\nFROM a\nLABEL x=<$V>')).toBe('<>');
    expect(label('ARG V=1\nFROM a\nARG V\nLABEL x=<$V>')).toBe('<1>');
    expect(label('ARG V=1\nFROM a\nARG V=2\nLABEL x=<$V>')).toBe('<2>');
    expect(label('ARG V=1\nFROM a\nARG V=2\nLABEL x=<$V>', { V: '3' })).toBe('<3>');
    expect(label('FROM a\nARG TARGETOS\nLABEL x=<$TARGETOS>')).toBe('<linux>');
    expect(label('FROM a\nLABEL x=<$TARGETOS>')).toBe('<>');
  });
});

describe('in a stage', () => {
  it('an argument is seen from its line on', () => {
    const or = `LABEL x=<$\{V:-none}>`;
    expect(label(`FROM a\n${or}`, { V: '1' })).toBe('<none>');
    expect(label(`FROM a\nARG V\n${or}`, { V: '1' })).toBe('<1>');
    expect(label(`FROM a\nARG V\n${or}`)).toBe('<none>');
    expect(label('FROM a AS b\nARG V=1\nFROM a\nLABEL x=<$V>')).toBe('<>');
  });

  it('ENV hides ARG, wherever it stands', () => {
    expect(label('FROM a\nARG V=1\nENV V=2\nLABEL x=$V', { V: '3' })).toBe('2');
    expect(label('FROM a\nENV V=2\nARG V=1\nLABEL x=$V', { V: '3' })).toBe('2');
    expect(label('FROM a\nARG V=1\nLABEL x=$V', {}, ['V=base'])).toBe('base');
    expect(label(`FROM a\nARG V\nENV V=$\{V:-v1}\nLABEL x=$V`, { V: 'v2' })).toBe('v2');
  });

  it('one ENV sees what was before it, not its own', () => {
    expect(label('FROM a\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\nLABEL x=$def-$ghi')).toBe('hello-bye');
  });

  it('RUN gets both, and proxies without a declaration', () => {
    const { variables } = walk(
      'FROM a\nARG A=1\nARG B\nARG C=3\nENV C=4 D=5',
      { http_proxy: 'p', HTTPS_PROXY: 'q', other: 'x' },
      ['PATH=/bin'],
    );
    expect(variables.environment).toEqual(['PATH=/bin', 'C=4', 'D=5']);
    expect(variables.arguments).toEqual(['A=1']);
    expect(variables.proxies).toEqual(['http_proxy=p', 'HTTPS_PROXY=q']);
    expect(walk('FROM a\nARG http_proxy', { http_proxy: 'p' }).variables).toMatchObject({
      arguments: ['http_proxy=p'],
      proxies: [],
    });
  });
});

describe('variables are put into', () => {
  const env = ['A=apple', 'N=80', 'D=/dir', 'S=two words'];
  const expand = (line: string): Instruction => walk(`FROM a\n${line}`, {}, env).last;

  it.each<[string, object]>([
    [
      'ENV $A=$A B="$A c"',
      {
        pairs: [
          { name: 'apple', value: 'apple' },
          { name: 'B', value: 'apple c' },
        ],
      },
    ],
    ['ENV old $S  here', { pairs: [{ name: 'old', value: 'two words  here' }] }],
    ["LABEL a='$A' b=\\$A", { pairs: [{ value: '$A' }, { value: '$A' }] }],
    [
      `EXPOSE $N $\{N}00-$\{N}02/UDP 127.0.0.1:8080:81`,
      { ports: ['80/tcp', '8000/udp', '8001/udp', '8002/udp', '81/tcp'] },
    ],
    ['VOLUME $D ["x"]', { paths: ['/dir', '[x]'] }],
    ['VOLUME ["$D/x y"]', { paths: ['/dir/x y'] }],
    ['USER $A:$N', { user: 'apple:80' }],
    ['WORKDIR $D/sub', { path: '/dir/sub' }],
    ['STOPSIGNAL $N', { signal: '80' }],
    [
      'COPY --chown=$A --chmod=$N --exclude=$A $A $D/x $D/',
      {
        chown: 'apple',
        chmod: '80',
        exclude: ['apple'],
        sources: ['apple', '/dir/x'],
        destination: '/dir/',
      },
    ],
    ['ADD --checksum=$A https://x/$A /y', { checksum: 'apple', sources: ['https://x/apple'] }],
    [
      'COPY <<a <<"b" /d/\n"$A" \\$A\na\n$A\nb',
      {
        heredocs: [
          { name: 'a', content: '"apple" $A\n' },
          { name: 'b', content: '$A\n' },
        ],
      },
    ],
    [
      'RUN --mount=type=cache,target=$D,uid=$N,id=$A $A',
      {
        mounts: [{ target: '/dir', uid: 80, id: 'apple' }],
        command: { text: '$A' },
      },
    ],
    ['RUN --mount=type=$T,target=$D x', { mounts: [{ type: 'tmpfs', target: '/dir' }] }],
  ])('%s', (line, expected) => {
    const text = line.includes('$T') ? `ENV T=tmpfs\n${line}` : line;
    expect(expand(text)).toMatchObject(expected);
  });

  it.each([
    'RUN $A',
    'RUN ["$A"]',
    'CMD $A',
    'ENTRYPOINT ["$A"]',
    'SHELL ["$A"]',
    'HEALTHCHECK CMD $A',
    'ONBUILD RUN $A',
  ])('%s not at all', (line) => {
    expect(JSON.stringify(expand(line))).not.toContain('apple');
  });

  it.each([
    ['EXPOSE 80-70', 'invalid containerPort: 80-70'],
    ['EXPOSE 70000', 'invalid containerPort: 70000'],
    ['EXPOSE 80/http', 'invalid proto: http'],
    ['EXPOSE $A', 'invalid containerPort: apple'],
    ['COPY a b /dir', 'destination must be a directory and end with a /'],
    [`ENV a="$\{U:?is missing}"`, 'U: is missing'],
    [`ARG a="$\{U:?is missing}"`, 'U: is missing'],
    ['RUN --mount=type=cache,target=/x,uid=$A x', 'invalid value for uid: apple'],
    ['RUN --mount=type=$A,target=/x x', 'unsupported mount type "apple"'],
  ])('%s is refused', (line, message) => {
    expect(() => expand(line)).toThrow(new RegExp(`line 2: .*${message.replace(/[.?]/g, '\\$&')}`));
  });
});
