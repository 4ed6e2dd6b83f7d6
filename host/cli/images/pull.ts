// How `pull`, and `run` where an image is missing, bring one.
import type { Api } from '../../client/api.ts';
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
): Promise<void> {
  const { loginHeader } = await import('./registry.ts');
  const answer = await api.open('POST', '/images/create', {
    headers: await loginHeader(image),
    query: { fromImage: image, platform, ...(hasTag(image) ? {} : { tag: 'latest' }) },
  });
  await showProgress(answer, output, quiet);
}
