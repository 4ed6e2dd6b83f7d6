// Quotes, escapes and variables, case by case; and beside bash.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readWords } from '../../../../host/build/dockerfile/words.ts';

const variables: Record<string, string> = {
  A: 'apple',
  E: '',
  P: '/usr/local/bin:/usr/bin:/bin',
  F: 'a/b.tar.gz',
  S: 'two  words',
};
const lookup = (name: string): string | undefined => variables[name];
const cases = readFileSync(join(import.meta.dirname, '../../../fixtures/dockerfile/expansions.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [, own, source = '', expected = ''] = /^(~?)(.*?) =>(?: (.*))?$/.exec(line) ?? [];
    return [source, expected, own === '~'] as const;
  });

describe('a word', () => {
  it.each(cases)('%s is %s', (source, expected) => {
    const read = (): string => readWords(source, lookup, { escapeToken: '\\' }).text;
    if (expected.startsWith('!')) expect(read).toThrow(expected.slice(2) || /failed to process/);
    else expect(read()).toBe(expected);
  });

  it('is what bash makes of it, but where a Dockerfile has rules of its own', () => {
    const compared = cases.filter(([, , own]) => !own);
    for (const [source, expected] of compared) {
      let shell: string;
      try {
        shell = execFileSync('bash', ['-c', 'unset U V; eval "v=$1" && printf %s "$v"', 'bash', source], {
          env: { ...variables, LC_ALL: 'C.UTF-8' },
          stdio: ['ignore', 'pipe', 'ignore'],
          encoding: 'utf8',
        });
      } catch {
        shell = '!';
      }
      expect([source, shell], source).toEqual([source, expected.startsWith('!') ? '!' : expected]);
    }
    expect(compared.length).toBeGreaterThan(50);
  });

  it('takes the backtick for its escape where a directive says so', () => {
    expect(readWords('`$A c:\\x', lookup, { escapeToken: '`' }).text).toBe('$A c:\\x');
  });

  it('has no quotes in a heredoc', () => {
    expect(readWords('say "$A" \'$A\' \\$A', lookup, { escapeToken: '\\', noQuotes: true }).text).toBe(
      'say "apple" \'apple\' $A',
    );
  });

  it('does not take ages over a hostile pattern', () => {
    const text = `\${L#${'*a'.repeat(200)}b}`;
    expect(readWords(text, () => 'a'.repeat(2000), { escapeToken: '\\' }).text).toHaveLength(2000);
  });
});

describe('words', () => {
  it.each([
    ['a b', ['a', 'b']],
    ['a\\ b "c d" \'e f\'', ['a b', 'c d', 'e f']],
    ['$S x', ['two', 'words', 'x']],
    ['"$S" x', ['two  words', 'x']],
    [`80$\{U:-81}/tcp`, ['8081/tcp']],
    ['cat << EOF', ['cat', '<< EOF']],
  ])('of %s', (source, expected) => {
    expect(readWords(source, lookup, { escapeToken: '\\' }).words).toEqual(expected);
  });
});
