// Every flag of docker's commands is known here: carried out, or refused with a reason. None is ignored, none is unknown.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { commandNames, loadCommand } from '../../host/cli/commands.ts';
import { parseFlags } from '../../host/cli/flags.ts';
import { nearest } from '../../host/cli/nearest.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
if (client === undefined) console.log("The flags are not compared with docker's: its client is not installed");

/** "-m, --memory bytes" lines of a help page: name, letter, whether it takes a value. */
function dockerFlags(command: string): { name: string; short: string | undefined; value: boolean }[] {
  const { stdout } = spawnSync(client!, [...command.split(' '), '--help'], { encoding: 'utf8' });
  return [...stdout.matchAll(/^ +(?:-(\w), )?--([a-z0-9-]+)(?: ([a-z0-9<][\w<>|-]*))?(?: {2}|$)/gm)]
    .map(([, short, name, value]) => ({ name: name!, short, value: value !== undefined }))
    .filter(({ name }) => name !== 'help');
}

/** Flags of swarm's cluster volumes, which need a swarm. */
const swarm = /^(availability|cluster|group|limit-bytes|required-bytes|scope|secret|sharing|topology-\w+|type)$/;
const shared = commandNames().filter((name) => {
  const page =
    client === undefined ? '' : spawnSync(client, [...name.split(' '), '--help'], { encoding: 'utf8' }).stdout;
  return page.includes(`Usage:  docker ${name} `);
});

describe.skipIf(client === undefined)("docker's flags", () => {
  it.each(shared)('%s', async (name) => {
    const { flags } = await loadCommand(name);
    for (const theirs of dockerFlags(name)) {
      if (name.startsWith('volume') && swarm.test(theirs.name)) continue;
      const ours = flags.find((flag) => flag.name === theirs.name);
      expect(ours, `--${theirs.name} of "docker ${name}"`).toBeDefined();
      if (ours!.refused === undefined) {
        expect(ours!.kind !== 'switch', `--${theirs.name} takes a value`).toBe(theirs.value);
        expect(ours!.short, `letter of --${theirs.name}`).toBe(theirs.short);
      } else expect(() => parseFlags(flags, [`--${theirs.name}=true`])).toThrow(ours!.refused);
    }
  });

  it('covers the commands that people use', () => {
    expect(shared).toEqual(
      expect.arrayContaining(['run', 'create', 'exec', 'ps', 'logs', 'cp', 'stats', 'images', 'pull']),
    );
  });
});

describe('a mistyped word', () => {
  it.each([
    ['memry', 'memory'],
    ['netwrok', 'network'],
    ['publsh', 'publish'],
    ['zzzzzz', undefined],
  ])('%s → %s', (word, meant) => {
    expect(nearest(word, ['memory', 'network', 'publish', 'name'])).toBe(meant);
  });
});
