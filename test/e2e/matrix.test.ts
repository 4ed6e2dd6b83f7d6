// Matrices of real containers: outcomes, limits, retries, time-outs, reports and logs; what is stopped leaves nothing.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { openTerminal, whyNoTerminal } from '../helpers/terminal.ts';

interface Report {
  passed: boolean;
  counts: Record<string, number>;
  cells: {
    name: string;
    outcome: string;
    reason: string;
    status?: number;
    attempts: { outcome: string }[];
    log?: string;
  }[];
}

/** [name, classname, kind of its child that is no output, message] by a parser that is not ours. */
const READ_JUNIT = `
import json, sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
print(json.dumps([[case.get('name')] + [[child.tag, child.get('message'), child.text] for child in case if child.tag != 'properties']
  for case in root.iter('testcase')]))
`;

describe.skipIf(whyNoContainers())('a matrix', () => {
  const here = createInstallation();
  const { gantry, ok, pipe } = here;
  const work = mkdtempSync(join(tmpdir(), 'gantry-matrix-'));
  const small = 'image: box\nnetwork: none\nmemory: 64m\ncpus: 0.25\n';
  const matrix = (text: string, ...flags: string[]) => pipe(small + text, 'matrix', '-f', '-', ...flags);
  const nothingLeft = async (): Promise<void> => expect(await ok('ps', '-aq')).toBe('');
  const reported = async (text: string, ...flags: string[]) => {
    const { status, stdout, stderr } = await matrix(text, '--json', '-', ...flags);
    expect(stdout, stderr).not.toBe('');
    return { status, stderr, report: JSON.parse(stdout) as Report };
  };

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    await ok('tag', 'box', 'crate');
    for (const path of [tree, dirname(archive)]) rmSync(path, { recursive: true });
  });
  afterAll(async () => {
    await here.close();
    rmSync(work, { recursive: true });
  });

  it('runs each cell with its settings, inside its limits, and tells what has become of it', async () => {
    mkdirSync(join(work, 'data'));
    writeFileSync(join(work, 'data/word'), 'from the host\n');
    const file = join(work, 'matrix.yml');
    writeFileSync(
      file,
      `${small}
matrix:
  image: [box, crate]
  load: [light, heavy]
  exclude: [{image: crate, load: heavy}]
  include:
    - {image: box, load: light, extra: more}
    - {image: box, load: broken}
    - {image: nowhere.invalid/none, load: none, pull: never}
env: {WHERE: "on \${{ matrix.image }}"}
volumes: ["./data:/data:ro"]
workdir: /data
run: |
  cat word
  echo "$WHERE $load $extra" >&2
  cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true
  test "$load" != broken
  ! test "$load" = heavy || exit 7
`,
    );
    const flags = [
      '--junit',
      join(work, 'out/junit.xml'),
      '--json',
      join(work, 'out/report.json'),
      '--logs',
      join(work, 'logs'),
    ];
    const { status, stdout, stderr } = await gantry('matrix', '-f', file, ...flags);
    expect([status, stderr]).toEqual([1, '']);
    expect(stdout).toMatch(/^box, heavy: failed: exit status 7 in [\d.]+ s$/m);
    expect(stdout).toMatch(/^--- box, heavy: failed: exit status 7 ---\n(?:.*\n)*?on box heavy \n/m);
    expect(stdout).toMatch(/\n2 passed, 2 failed, 1 error in [\d.]+ s\n$/);
    const report = JSON.parse(readFileSync(join(work, 'out/report.json'), 'utf8')) as Report;
    expect(report.cells.map(({ name, outcome, status: exit }) => [name, outcome, exit])).toEqual([
      ['box, light, more', 'passed', 0],
      ['box, heavy', 'failed', 7],
      ['crate, light', 'passed', 0],
      ['box, broken', 'failed', 1],
      ['nowhere.invalid/none, none, never', 'error', undefined],
    ]);
    expect(report.cells[4]!.reason).toMatch(/No such image/i);
    expect(readdirSync(join(work, 'logs')).sort()).toEqual([
      '1-box-light-more.log',
      '2-box-heavy.log',
      '3-crate-light.log',
      '4-box-broken.log',
      '5-nowhere.invalid-none-none-never.log',
    ]);
    const log = readFileSync(report.cells[0]!.log!, 'utf8');
    expect(log.split('\n').filter(Boolean).sort()).toEqual([String(64 << 20), 'from the host', 'on box light more']);
    const read = execFileSync('python3', ['-c', READ_JUNIT, join(work, 'out/junit.xml')], { encoding: 'utf8' });
    const cases = JSON.parse(read) as [string, ...[string, string | null, string | null][]][];
    expect(
      cases.map(([name, ...children]) => [name, ...children.map(([tag, message]) => `${tag} ${message}`)]),
    ).toEqual([
      ['box, light, more', 'system-out null'],
      ['box, heavy', 'failure failed: exit status 7', 'system-out null'],
      ['crate, light', 'system-out null'],
      ['box, broken', 'failure failed: exit status 1', 'system-out null'],
      ['nowhere.invalid/none, none, never', `error ${`error: ${report.cells[4]!.reason}`}`],
    ]);
    await nothingLeft();
  });

  it('shows what would run, and what does not fit at all', async () => {
    const text = 'matrix: {size: [1, 2, 3, 4, 5]}\n';
    const dry = await matrix(
      text,
      '--dry-run',
      '--cpus',
      '0.5',
      '--filter',
      'size=1',
      '--filter',
      'size=2',
      '--filter',
      'size=5',
    );
    expect(dry.status).toBe(0);
    expect(dry.stdout.split('\n').map((line) => line.split(/\s+/).join(' '))).toEqual([
      'LOAD CPUS MEMORY IMAGE CELL',
      '1 0.25 64MiB box 1',
      '1 0.25 64MiB box 2',
      '2 0.25 64MiB box 5',
      expect.stringMatching(/^3 cells in 2 loads of 0\.5 CPUs and /),
      '',
    ]);
    const refused = await matrix('matrix: {size: [1]}\n', '--memory', '32m');
    expect([refused.status, refused.stderr]).toEqual([
      125,
      'gantry: Cannot run the cell "1": it wants 0.25 CPUs and 64MiB, and there are ' +
        `${refused.stderr.match(/there are (.*)/)?.[1]}\nHint: Lower its cpus or memory in the file\n`,
    ]);
    const typo = await matrix('matrix: {size: [1]}\nretires: 2\n');
    expect([typo.status, typo.stderr]).toEqual([
      125,
      'gantry: Cannot read "standard input": unknown key retires\nHint: Meant: retries?\n',
    ]);
    expect((await gantry('matrix', '-f', join(work, 'absent.yml'))).status).toBe(125);
    expect((await gantry('matrix', '--nonsense')).status).toBe(125);
  });

  it('tries again, and ends what takes too long', async () => {
    mkdirSync(join(work, 'count'));
    const { status, report } = await reported(`
matrix: {case: [flaky, slow, hopeless]}
volumes: ["${join(work, 'count')}:/count"]
retries: 1
timeout: 60s
run: |
  case $case in
    flaky) if test -e /count/flaky; then exit 0; fi; touch /count/flaky; exit 4 ;;
    slow) exit 0 ;;
    hopeless) exit 5 ;;
  esac
`);
    expect([status, report.cells.map(({ outcome, attempts }) => [outcome, attempts.length])]).toEqual([
      1,
      [
        ['passed', 2],
        ['passed', 1],
        ['failed', 2],
      ],
    ]);
    const late = await reported(
      'matrix: {x: [1]}\ntimeout: 500ms\nrun: trap "echo told; exit 0" TERM; while :; do sleep 0.1; done',
    );
    expect(late.report.cells[0]).toMatchObject({ outcome: 'timed out', reason: 'no end within 0.5 s' });
    expect(late.status).toBe(1);
    await nothingLeft();
  });

  it('says that memory was short', async () => {
    const { report } = await reported('matrix: {memory: [16m]}\ncommand: [tail, /dev/zero]');
    expect(report.cells[0]).toMatchObject({ outcome: 'failed', reason: 'out of memory (exit status 137)' });
  });

  it('with --fail-fast stops the others and begins none', async () => {
    const { status, report } = await reported(
      'matrix: {what: [fail, sleep, later]}\nrun: test $what != fail; exec sleep 600\njobs: 2\n',
      '--fail-fast',
    );
    expect([status, report.cells.map(({ outcome }) => outcome)]).toEqual([1, ['failed', 'canceled', 'skipped']]);
    await nothingLeft();
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('removes everything at %s', async (signal) => {
    const child = here.start('matrix', '-f', '-', '--jobs', '2', '--junit', join(work, 'stopped.xml'));
    child.stdin?.end(`${small}matrix: {x: [1, 2, 3]}\nrun: exec sleep 600`);
    child.stdout?.resume();
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
    await until(async () => (await ok('ps', '-q')).split('\n').length === 2, 'both cells');
    child.kill(signal);
    expect(await exit).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(
      readFileSync(join(work, 'stopped.xml'), 'utf8')
        .match(/<skipped message="\w+"\/>/g)
        ?.sort(),
    ).toEqual(['<skipped message="canceled"/>', '<skipped message="canceled"/>', '<skipped message="skipped"/>']);
    await nothingLeft();
  });

  it('annotates under GitHub Actions', async () => {
    const page = join(work, 'summary.md');
    Object.assign(here.env, { GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: page });
    try {
      const { status, stdout } = await matrix('matrix: {n: [0, 3]}\nrun: echo "::warning::mine"; exit $n');
      expect(status).toBe(1);
      expect(stdout).toMatch(
        /^::group::3\n::stop-commands::(\S+)\n::warning::mine\n::\1::\n::endgroup::\n::error title=3::failed: exit status 3$/m,
      );
      expect(readFileSync(page, 'utf8')).toMatch(/^\| 3 \| failed: exit status 3 \| [\d.]+ s \|$/m);
    } finally {
      delete here.env.GITHUB_ACTIONS;
      delete here.env.GITHUB_STEP_SUMMARY;
    }
  });

  it.skipIf(whyNoTerminal())('is a table on a terminal, from which Ctrl-C leads out', async () => {
    const file = join(work, 'table.yml');
    writeFileSync(file, `${small}matrix: {x: [0, 600]}\nrun: echo lifting; exec sleep $x\n`);
    const { CI: _ci, ...env } = here.env;
    const terminal = openTerminal(env, [process.execPath, '--', here.program, 'matrix', '-f', file]);
    await terminal.see(/passed {5}0 +[\d.]+s\x1b\[K\r\nrunning {4}600 +lifting +[\d.]+s/);
    terminal.type('\x03');
    expect(await terminal.exit).toBe(130);
    expect(terminal.shown).toMatch(/canceled {3}600/);
    await nothingLeft();
  });
});
