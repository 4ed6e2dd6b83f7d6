// What a build looks like: in a log, on a terminal of 80 columns, and for programs.
import { describe, expect, it } from 'vitest';
import type { BuildEvent } from '../../../host/build/progress.ts';
import type { Display } from '../../../host/cli/build/display.ts';
import { excerptText, failedOutputText, warningsText } from '../../../host/cli/build/failure-text.ts';
import { plainDisplay } from '../../../host/cli/build/plain-display.ts';
import { rawDisplay } from '../../../host/cli/build/raw-display.ts';
import { byteCount } from '../../../host/cli/build/steps.ts';
import { terminalDisplay } from '../../../host/cli/build/terminal-display.ts';
import { Screen } from '../../helpers/screen.ts';

/** The engine's clock is not ours. */
const ENGINE = 5_000_000;
const OURS = 1_000_000;

/** Moments in seconds; every event is told at its own. */
function teller(display: Display, clock: { now: number }) {
  const at = (second: number): number => {
    clock.now = OURS + second * 1000;
    return ENGINE + second * 1000;
  };
  const vertex = (id: string, name: string, state: object = {}): void => {
    display.event({ type: 'vertex', id, name, ...state } as BuildEvent);
  };
  return {
    wait: (id: string, name: string) => vertex(id, name),
    start: (id: string, name: string, second: number) => vertex(id, name, { started: at(second) }),
    end(id: string, name: string, from: number, to: number, state: object = {}) {
      vertex(id, name, { started: ENGINE + from * 1000, completed: at(to), ...state });
    },
    log(id: string, second: number, text: string) {
      display.event({ type: 'log', vertex: id, stream: 'stdout', text, time: at(second) });
    },
    status(vertexId: string, id: string, from: number, second: number, current: number, total: number, done = false) {
      const time = at(second);
      const completed = done ? { completed: time } : {};
      const counted = { current, total, started: ENGINE + from * 1000 };
      display.event({ type: 'status', vertex: vertexId, id, ...counted, ...completed });
    },
  };
}

function plain() {
  let text = '';
  const clock = { now: OURS };
  const display = plainDisplay(
    (more) => (text += more),
    () => clock.now,
  );
  return { ...teller(display, clock), display, shown: () => text };
}

describe('in a log', () => {
  it('each step is a block, with its output and how it ended', () => {
    const { start, end, log, status, shown } = plain();
    start('a', '[internal] load metadata for x', 0);
    end('a', '[internal] load metadata for x', 0, 0.25);
    start('b', '[1/3] FROM x', 1);
    status('b', 'sha256:01', 1, 1, 0, 1000);
    status('b', 'sha256:01', 1, 1.1, 10, 1000);
    status('b', 'sha256:01', 1, 1.2, 600, 1000);
    status('b', 'sha256:01', 1, 1.5, 1000, 1000, true);
    end('b', '[1/3] FROM x', 1, 2);
    start('c', '[2/3] RUN x', 2);
    log('c', 2.5, 'one\ntw');
    log('c', 3, 'o\n\n');
    log('c', 14, '\x1b[32mcolour\x1b[0m\r\n10%\r100%\n\ttab\x07\nno end');
    end('c', '[2/3] RUN x', 2, 14.5);
    start('d', '[3/3] COPY x /', 15);
    end('d', '[3/3] COPY x /', 15, 15, { cached: true });
    expect(shown()).toBe(`#1 [internal] load metadata for x
#1 DONE 0.3s

#2 [1/3] FROM x
#2 sha256:01 0B / 1.00kB
#2 sha256:01 600B / 1.00kB 0.2s
#2 sha256:01 1.00kB / 1.00kB 0.5s done
#2 DONE 1.0s

#3 [2/3] RUN x
#3 0.500 one
#3 0.500 two
#3 1.000
#3 12.00 colour
#3 12.00 100%
#3 12.00         tab
#3 12.00 no end
#3 DONE 12.5s

#4 [3/3] COPY x /
#4 CACHED
`);
    expect(shown()).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
  });

  it('steps side by side take turns', () => {
    const { start, end, log, shown } = plain();
    start('a', 'A', 0);
    start('b', 'B', 0);
    log('a', 0.1, 'a1\n');
    log('b', 0.2, 'b1\n');
    log('a', 0.3, 'a2\n');
    log('b', 6, 'b2\n');
    log('a', 7, 'a3\n');
    end('b', 'B', 0, 8);
    end('a', 'A', 0, 9);
    expect(shown()).toBe(`#1 A
#1 0.100 a1
#1 0.300 a2
#1 ...

#2 B
#2 0.200 b1
#2 6.000 b2
#2 DONE 8.0s

#1 A
#1 7.000 a3
#1 DONE 9.0s
`);
  });

  it('one that ends beside another is told at once', () => {
    const { start, end, log, shown } = plain();
    start('a', 'A', 0);
    start('b', 'B', 0);
    end('b', 'B', 0, 1, { error: 'it broke' });
    log('a', 1, 'a1\n');
    end('a', 'A', 0, 2, { error: 'CANCELED' });
    expect(shown()).toBe('#1 A\n#1 ...\n\n#2 B\n#2 ERROR: it broke\n\n#1 A\n#1 1.000 a1\n#1 CANCELED\n');
  });

  it('the last lines of the step that failed are kept', () => {
    const { start, end, log, display } = plain();
    start('a', 'A', 0);
    for (let line = 0; line < 30; line++) log('a', 1, `line ${line}\n`);
    end('a', 'A', 0, 2, { error: 'it broke' });
    const found = display.failedOutput()!;
    expect(found.name).toBe('A');
    expect(found.lines).toHaveLength(10);
    expect(found.lines.at(-1)).toBe('1.000 line 29');
  });
});

/** A display whose picture is looked at whenever the clock is set. */
function onScreen(columns = 80, rows = 24) {
  const screen = new Screen(columns);
  const clock = { now: OURS };
  const display = terminalDisplay({ write: (text) => screen.write(text), columns, rows }, true, () => clock.now);
  return { ...teller(display, clock), display, screen, draw: () => display.draw() };
}

describe('on a terminal', () => {
  it('a step is a row, a running one shows its last output', () => {
    const { wait, start, end, log, status, display, screen, draw } = onScreen();
    for (const name of ['A', 'B', 'C']) wait(name.toLowerCase(), name);
    start('a', '[internal] load metadata for docker.io/library/debian:12', 0);
    end('a', '[internal] load metadata for docker.io/library/debian:12', 0, 0.3);
    start('b', `[1/2] FROM x@sha256:${'0123456789abcdef'.repeat(4)}`, 0.3);
    status('b', `sha256:${'0123456789abcdef'.repeat(4)}`, 0.3, 1, 1_234_567, 12_345_678);
    draw();
    expect(screen.lines).toEqual([
      '[+] Building 1.0s (1/3)',
      ' => [internal] load metadata for docker.io/library/debian:12                0.3s',
      ' => [1/2] FROM x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef012 0.7s',
      ' => => sha256:0123456789abcdef0123456789abcdef0123456789ab 1.23MB / 12.35MB 0.7s',
      '',
    ]);
    end('b', '[1/2] FROM x', 0.3, 2);
    start('c', '[2/2] RUN 世界 \x1b[31mred\x1b[0m', 2);
    for (let line = 1; line < 10; line++) log('c', 2 + line / 10, `line ${line}\n`);
    log('c', 3, `50%\r75%\r${'世界'.repeat(30)}`);
    draw();
    expect(screen.lines.slice(3)).toEqual([
      ' => => sha256:0123456789abcdef0123456789abcdef0123456789ab 1.23MB / 12.35MB 1.7s',
      ' => [2/2] RUN 世界 red                                                      1.0s',
      ' => => # line 5',
      ' => => # line 6',
      ' => => # line 7',
      ' => => # line 8',
      ' => => # line 9',
      ` => => # ${'世界'.repeat(17)}世`,
      '',
    ]);
    end('c', '[2/2] RUN 世界', 2, 4, { error: 'exit code: 1' });
    display.end();
    expect(screen.lines[0]).toBe('[+] Building 4.0s (3/3) FINISHED');
    expect(screen.lines.at(-2)).toBe(
      ' => ERROR [2/2] RUN 世界                                                    2.0s',
    );
    expect(screen.lines).toHaveLength(6);
    expect(display.failedOutput()!.lines).toHaveLength(10);
  });

  it('a picture never grows beyond the screen, and what runs stays in it', () => {
    const { start, end, display, screen, draw } = onScreen(40, 8);
    start('long', 'runs all the time', 0);
    for (let step = 0; step < 20; step++) {
      start(`s${step}`, `step ${step}`, step);
      end(`s${step}`, `step ${step}`, step, step + 0.5);
      draw();
      expect(screen.lines.length).toBeLessThanOrEqual(8);
      expect(screen.lines.join('\n')).toContain('runs all the time');
    }
    display.end();
    expect(screen.lines).toHaveLength(1 + 21 + 1);
  });

  it.each([20, 40, 80, 200])('nothing is wider than %i columns', (columns) => {
    const { start, end, log, status, display, screen, draw } = onScreen(columns);
    start('a', `[1/1] RUN ${'x 世 é '.repeat(40)}`, 0);
    log('a', 1, `${'世'.repeat(300)}\n${'\u0301'.repeat(10)}${'e\u0301'.repeat(200)}\n\t\tx\n`);
    status('a', `sha256:${'f'.repeat(64)}`, 0, 1, 999_999_999, 1_000_000_000_000);
    draw();
    end('a', 'A', 0, 100_000, { error: 'CANCELED' });
    display.end();
    expect(screen.lines.length).toBeGreaterThan(2);
  });
});

it('for programs: messages as BuildKit writes them', () => {
  const lines: string[] = [];
  const display = rawDisplay(
    (text) => lines.push(text),
    () => 1000,
  );
  display.event({ type: 'vertex', id: 'a', name: 'A', started: 0, completed: 1500, cached: true });
  display.event({ type: 'status', vertex: 'a', id: 's', current: 1, total: 2, started: 0 });
  display.event({ type: 'log', vertex: 'a', stream: 'stderr', text: 'é\n', time: 500 });
  display.event({
    type: 'warning',
    rule: 'R',
    message: 'm',
    range: { file: 'D', start: 2, end: 3, first: 1, lines: [] },
  });
  display.event({ type: 'result', imageId: 'sha256:0', names: [] });
  const vertex = 'sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb';
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      vertexes: [
        {
          digest: vertex,
          name: 'A',
          started: '1970-01-01T00:00:00.000Z',
          completed: '1970-01-01T00:00:01.500Z',
          cached: true,
        },
      ],
    },
    {
      statuses: [
        {
          id: 's',
          vertex,
          name: 's',
          total: 2,
          current: 1,
          timestamp: '1970-01-01T00:00:01.000Z',
          started: '1970-01-01T00:00:00.000Z',
        },
      ],
    },
    { logs: [{ vertex, stream: 2, data: 'w6kK', timestamp: '1970-01-01T00:00:00.500Z' }] },
    { warnings: [{ level: 1, short: 'UjogbQ==', range: [{ start: { line: 2 }, end: { line: 3 } }] }] },
  ]);
});

describe('texts', () => {
  it('of a failure', () => {
    const range = { file: 'Dockerfile', start: 9, end: 10, first: 8, lines: ['RUN a', 'RUN b \\', '  c', ''] };
    expect(excerptText(range)).toBe(`Dockerfile:9
--------------------
   8 |     RUN a
   9 | >>> RUN b \\
  10 | >>>   c
  11 |
--------------------
`);
    expect(failedOutputText({ name: '[2/2] RUN b', lines: ['0.1 x'] })).toBe(
      '------\n > [2/2] RUN b:\n0.1 x\n------\n',
    );
    expect(failedOutputText(undefined)).toBe('');
  });

  it('of warnings', () => {
    const range = { file: 'D', start: 2, end: 2, first: 1, lines: [] };
    expect(warningsText([{ type: 'warning', rule: 'R', message: 'm', range }])).toBe(
      '\n 1 warning found:\n - R: m (line 2)\n',
    );
    expect(warningsText([])).toBe('');
  });

  it.each([
    [0, '0B'],
    [999, '999B'],
    [1000, '1.00kB'],
    [1_234_567, '1.23MB'],
    [2.5e12, '2.50TB'],
  ])('of %i bytes', (bytes, text) => {
    expect(byteCount(bytes)).toBe(text);
  });
});
