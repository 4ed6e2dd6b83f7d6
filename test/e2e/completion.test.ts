// The completion scripts in the shells that they are for.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const program = join(import.meta.dirname, '../../dist/cli/main.js');
const has = (shell: string): boolean => {
  const found = spawnSync(shell, ['--version']).error === undefined;
  if (!found) console.log(`Completion in ${shell} is not tested: it is not installed`);
  return found;
};

describe.skipIf(whyNoContainers())('completion', () => {
  const here = createInstallation();
  const { ok } = here;
  const bin = mkdtempSync(join(tmpdir(), 'gantry-bin-'));
  const env = { ...here.env, PATH: `${bin}:${process.env.PATH}`, HOME: bin };

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    await ok('create', '--name', 'web-one', 'box');
    await ok('create', '--name', 'web-two', 'box');
    await ok('volume', 'create', 'data-volume');
    writeFileSync(join(bin, 'gantry'), `#!/bin/sh\nexec ${process.execPath} -- ${program} "$@"\n`);
    chmodSync(join(bin, 'gantry'), 0o755);
  });
  afterAll(async () => {
    await here.close();
    rmSync(bin, { recursive: true });
  });

  /** What a bash offers at the end of these words. */
  const bash = (...words: string[]): string[] => {
    const script = `eval "$(gantry completion bash)"
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
      COMP_LINE="\${COMP_WORDS[*]}"; COMP_POINT=\${#COMP_LINE}
      function=$(complete -p gantry | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $function; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { env, encoding: 'utf8' });
    expect(stderr).toBe('');
    return stdout.split('\n').filter(Boolean).sort();
  };

  it.each<[string[], string[]]>([
    [['gantry', 'vers'], ['version']],
    [
      ['gantry', 'run', '--mem'],
      ['--memory', '--memory-reservation', '--memory-swap', '--memory-swappiness'],
    ],
    [
      ['gantry', 'stop', 'web-'],
      ['web-one', 'web-two'],
    ],
    [['gantry', 'start', '-a', 'web-o'], ['web-one']],
    [['gantry', 'run', 'bo'], ['box:latest']],
    [['gantry', 'volume', 'l'], ['ls']],
    [['gantry', 'volume', 'rm', 'data'], ['data-volume']],
    [['gantry', 'cp', 'web-o'], ['web-one:']],
    [['gantry', 'run', '--gpu'], []],
  ])('bash: %j → %j', (words, offered) => {
    expect(bash(...words)).toEqual(offered);
  });

  it.skipIf(!has('zsh'))('zsh takes its script', () => {
    const script = 'autoload -U compinit; compinit -D -u; eval "$(gantry completion zsh)"; print $_comps[gantry]';
    const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', script], { env, encoding: 'utf8' });
    expect([stdout, stderr]).toEqual(['_gantry\n', '']);
  });

  it.skipIf(!has('fish'))('fish completes commands, flags and containers', () => {
    const ask = (line: string): string => {
      const script = `gantry completion fish | source; complete -C '${line}'`;
      return spawnSync('fish', ['-N', '-c', script], { env, encoding: 'utf8' }).stdout;
    };
    expect(ask('gantry vers')).toMatch(/^version\t/m);
    expect(ask('gantry run --memory-res')).toMatch(/^--memory-reservation/m);
    expect(ask('gantry stop web-')).toMatch(/^web-one/m);
  });
});
