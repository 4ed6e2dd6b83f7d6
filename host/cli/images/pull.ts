// `pull`; and how it, and `run` where an image is missing, bring one.
import type { Api } from '../../client/api.ts';
import { GantryError } from '../../errors.ts';
import type { Command } from '../command.ts';
import { showProgress } from './progress.ts';

/** Whether a reference says which tag or digest it means. */
export function hasTag(image: string): boolean {
  return /[:@][^/]*$/.test(image);
}

export async function pullImage(
  api: Api,
  image: string,
  platform: string | undefined,
  quiet: boolean,
  output: NodeJS.WriteStream = process.stderr,
  allTags = false,
): Promise<void> {
  const { loginHeader } = await import('../../login-header.ts');
  const answer = await api.open('POST', '/images/create', {
    headers: await loginHeader(image),
    query: { fromImage: image, platform, ...(hasTag(image) || allTags ? {} : { tag: 'latest' }) },
  });
  await showProgress(answer, output, quiet);
}

export const pull: Command = {
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  summary: 'Download an image from a registry',
  flags: [
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Suppress verbose output' },
    { name: 'all-tags', short: 'a', kind: 'switch', help: 'Download all tagged images in the repository' },
    { name: 'disable-content-trust', kind: 'switch', help: '', hidden: true },
    { name: 'platform', kind: 'value', value: 'string', help: 'Set platform if server is multi-platform capable' },
  ],
  args: [1, 1],
  async run(parsed, { api }) {
    const [name = ''] = parsed.args;
    const all = parsed.switch('all-tags');
    if (all && hasTag(name))
      throw new GantryError('INVALID_ARGUMENT', "Tag can't be used with --all-tags/-a", {
        hint: `gantry pull -a ${name.replace(/[:@][^/]*$/, '')}`,
      });
    await pullImage(api, name, parsed.value('platform'), parsed.switch('quiet'), process.stdout, all);
    process.stdout.write(`${hasTag(name) || all ? name : `${name}:latest`}\n`);
    return 0;
  },
};
