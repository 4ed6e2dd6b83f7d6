// `plan`: every system call of a container, before anything runs.
import { GantryError } from '../../errors.ts';
import type { Api } from '../../client/api.ts';
import { type Command, MANY } from '../command.ts';
import { diffLines } from '../../core/plan-diff.ts';
import { createBody } from './create-body.ts';
import { type Parsed, parseFlags } from '../flags.ts';
import { pullImage } from '../images/pull.ts';
import { runFlags } from './run-flags.ts';

interface Planned {
  text: string;
  digest: string;
  spec: object;
  cgroupWrites: object[];
  warnings: string[];
}

async function ask(api: Api, parsed: Parsed): Promise<Planned> {
  const streams = { stdin: parsed.switch('interactive'), stdout: true, stderr: true };
  const body = createBody(parsed, streams, (await api.endpoint()).name);
  const send = (): Promise<Planned> => api.send('POST', '/gantry/plan', { body });
  return send().catch(async (error: unknown) => {
    if (!(error instanceof GantryError) || error.code !== 'IMAGE_NOT_FOUND' || parsed.value('pull') === 'never')
      throw error;
    await pullImage(api, String(body.Image), parsed.value('platform'), parsed.switch('quiet'));
    return send();
  });
}

/** Words of a command line in quotes: blanks separate, quotes hold together. */
function words(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? '',
  );
}

export const plan: Command = {
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  summary: 'Show every system call that run would make, and run nothing',
  flags: [
    ...runFlags,
    { name: 'digest', kind: 'switch', help: 'Print only the sha256 of the plan' },
    { name: 'diff', kind: 'switch', help: 'Compare two plans: gantry plan --diff "-m 64m IMAGE" "-m 128m IMAGE"' },
    { name: 'json', kind: 'switch', help: 'Print the OCI runtime spec, the cgroup writes and the digest as JSON' },
  ],
  ordered: true,
  args: [1, MANY],
  // The two plans to compare begin with dashes and are no flags of this command.
  rewrite: (argv) => (argv[0] === '--diff' ? ['--diff', '--', ...argv.slice(1)] : argv),
  async run(parsed, { api }) {
    if (parsed.switch('diff')) {
      if (parsed.args.length !== 2)
        throw new GantryError('INVALID_ARGUMENT', '"gantry plan --diff" requires exactly 2 arguments', {
          hint: 'gantry plan --diff "-m 64m IMAGE" "-m 128m IMAGE"',
        });
      const both = parsed.args.map((text) =>
        parseFlags(runFlags, words(text), { interspersed: false, command: 'gantry plan' }),
      );
      const [before, after] = await Promise.all(both.map((each) => ask(api, each)));
      const lines = diffLines(before!.text.split('\n'), after!.text.split('\n'));
      process.stdout.write(lines.map((line) => `${line}\n`).join(''));
      return 0;
    }
    const { text, digest, spec, cgroupWrites, warnings } = await ask(api, parsed);
    for (const warning of warnings) process.stderr.write(`WARNING: ${warning}\n`);
    if (parsed.switch('digest')) process.stdout.write(`${digest}\n`);
    else if (parsed.switch('json'))
      process.stdout.write(`${JSON.stringify({ digest, spec, cgroupWrites }, null, 2)}\n`);
    else process.stdout.write(text);
    return 0;
  },
};
