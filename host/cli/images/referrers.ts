// `image referrers`: what a registry holds about an image.
import type { Command } from '../command.ts';
import { filtersOf, formatRows } from '../format/format.ts';
import { decimalSize } from '../format/units.ts';
import { loginHeader } from '../../login-header.ts';

interface Answer {
  digest: string;
  referrers: {
    mediaType: string;
    artifactType: string;
    digest: string;
    size: number;
    annotations: Record<string, string>;
  }[];
}

export const referrers: Command = {
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  summary: 'List what a registry has about an image: signatures, attestations, SBOMs',
  flags: [
    {
      name: 'filter',
      short: 'f',
      kind: 'list',
      value: 'filter',
      help: 'Filter output ("artifact-type=<type>")',
    },
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
  ],
  args: [1, 1],
  async run(parsed, { api }) {
    const [name = ''] = parsed.args;
    const { digest: subject, referrers: found } = await api.send<Answer>('GET', '/gantry/referrers', {
      query: { name, filters: filtersOf(parsed.list('filter')) },
      headers: await loginHeader(name),
    });
    const format = parsed.value('format');
    const rows = found.map(({ mediaType, artifactType, digest, size, annotations }) => ({
      Subject: subject,
      MediaType: mediaType,
      ArtifactType: artifactType,
      Digest: digest,
      // For scripts as it is, else for people, as everywhere.
      Size: format === 'json' ? size : decimalSize(size),
      Annotations:
        format === 'json'
          ? annotations
          : Object.entries(annotations)
              .map(([key, value]) => `${key}=${value}`)
              .join(','),
    }));
    const columns: [string, string][] = [
      ['ARTIFACT TYPE', 'ArtifactType'],
      ['DIGEST', 'Digest'],
      ['SIZE', 'Size'],
      ['ANNOTATIONS', 'Annotations'],
    ];
    process.stdout.write(formatRows(rows, format, columns));
    return 0;
  },
};
