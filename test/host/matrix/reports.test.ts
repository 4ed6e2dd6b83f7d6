// Reports and displays of a matrix: escapes that hold against any output, and a table that keeps to its terminal.
import { describe, expect, it } from 'vitest';
import type { Cell } from '../../../host/cli/matrix/cells.ts';
import { lineDisplay, tableDisplay } from '../../../host/cli/matrix/display.ts';
import { junitReport } from '../../../host/cli/matrix/junit.ts';
import { githubSummary, githubText, summary } from '../../../host/cli/matrix/report.ts';
import type { Attempt, Job } from '../../../host/cli/matrix/result.ts';
import { Screen } from '../../helpers/screen.ts';

const job = (name: string, attempt?: Partial<Attempt>, tail = ''): Job => ({
  cell: { name, values: { image: name } } as unknown as Cell,
  demand: { nanoCpus: 1e9, memory: 1 },
  state: attempt === undefined ? 'waiting' : 'ended',
  attempts: attempt === undefined ? [] : [{ outcome: 'passed', reason: '', seconds: 1, ...attempt }],
  began: attempt === undefined ? undefined : 0,
  seconds: 1.25,
  tail,
  log: undefined,
});
const failed = (name: string, tail = ''): Job =>
  job(name, { outcome: 'failed', reason: 'exit status 3', status: 3 }, tail);

describe('reports', () => {
  it('in JUnit XML hold any text', () => {
    const text = junitReport([failed('a<"b">&\n', ']]> \x1b[31m\0 \ud800 \ufffe ü 😀\r\n')], 'm.yml', 0, 2);
    expect(text).toContain('name="a&lt;&quot;b&quot;&gt;&amp;&#10;"');
    expect(text).toContain('>]]&gt; [31m   ü 😀&#13;\n</failure>');
    expect(text).not.toMatch(/[\0\x1b\ufffe]|[\ud800-\udbff](?![\udc00-\udfff])/);
  });

  it('in JUnit XML count each cell once', () => {
    const jobs = [
      job('a', {}),
      failed('b'),
      job('c', { outcome: 'timed out', reason: 'no end within 1 s' }),
      job('d', { outcome: 'error', reason: 'no image' }),
      job('e', { outcome: 'canceled' }),
      job('f'),
    ];
    const text = junitReport(jobs, 'm.yml', 0, 2);
    expect(text.match(/<testsuite .*/)?.[0]).toBe(
      '<testsuite name="m.yml" tests="6" failures="2" errors="1" skipped="2" time="2.000" timestamp="1970-01-01T00:00:00">',
    );
    expect(summary(jobs)).toBe('1 passed, 1 failed, 1 timed out, 1 error, 1 canceled, 1 skipped');
  });

  it('for GitHub keep a name in its field, and commands in output from being obeyed', () => {
    expect(githubText([job('fine', {}), failed('a: b, 1%\n', '::add-mask::x\n')], 'TOKEN')).toBe(
      [
        '::group::a: b, 1%25%0A',
        '::stop-commands::TOKEN',
        '::add-mask::x',
        '::TOKEN::',
        '::endgroup::',
        '::error title=a%3A b%2C 1%25%0A::failed: exit status 3',
        '',
      ].join('\n'),
    );
    expect(githubSummary([failed('a|b <img> `x`')], 'm.yml')).toContain('| a&#124;b &#60;img&#62; &#96;x&#96; |');
  });
});

describe('the table', () => {
  it.each([40, 80, 200])('keeps to %i columns and its own rows, and ends whole', (columns) => {
    const screen = new Screen(columns);
    let clock = 0;
    const jobs = Array.from({ length: 30 }, (_, at) =>
      job(`image-with-a-long-name:${at}, 日本語 ${'x'.repeat(at * 3)}`),
    );
    const terminal = { write: (text: string) => screen.write(text), columns, rows: 12 };
    const display = tableDisplay(terminal, jobs, true, () => clock);
    for (const one of jobs) {
      Object.assign(one, { state: 'running', began: 0, tail: `first\n\x1b[2J${'out '.repeat(80)}\tend` });
      display.changed(one, 'state');
      expect(screen.lines.length).toBeLessThanOrEqual(12);
      Object.assign(one, { state: 'ended', attempts: [{ outcome: 'passed', reason: '', seconds: 1 }] });
    }
    clock = 5000;
    display.end();
    expect(screen.lines.filter((line) => /^passed/.test(line))).toHaveLength(30);
    expect(screen.lines[0]).toBe('[+] 30/30 cells  5.0s');
  });

  it('shows both ends of a name that is too long', () => {
    const screen = new Screen(60);
    const jobs = ['1', '2'].map((end) => job(`${'image'.repeat(20)}, ${end}`, {}));
    tableDisplay({ write: (text: string) => screen.write(text), columns: 60, rows: 24 }, jobs, false).end();
    expect(screen.lines.slice(1, 3)).toEqual([
      expect.stringMatching(/^passed {5}imageimage\w*…\w*, 1 /),
      expect.stringMatching(/^passed {5}imageimage\w*…\w*, 2 /),
    ]);
  });

  it('is lines elsewhere: one for a start, one for an end', () => {
    const lines: string[] = [];
    const display = lineDisplay({ write: (text) => lines.push(text) });
    const one = failed('a');
    display.changed(one, 'output');
    display.changed(one, 'state');
    expect(lines).toEqual(['a: failed: exit status 3 in 1.3 s\n']);
  });
});
