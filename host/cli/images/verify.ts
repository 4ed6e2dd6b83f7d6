// `image verify`: whether images are still what they were when they came.
import { engineError } from '../../client/api.ts';
import { jsonLines } from '../../client/lines.ts';
import { type Command, MANY } from '../command.ts';
import { decimalSize } from '../format/units.ts';

interface Flaw {
  what: string;
  digest: string;
  reason: string;
  replaceable: boolean;
}

interface Line {
  name: string;
  id: string;
  tags: string[];
  layers: number;
  bytesRead: number;
  flaws: Flaw[];
  error?: string;
}

export const verify: Command = {
  usage: '[OPTIONS] [IMAGE...]',
  summary: 'Read images again and tell what is damaged',
  flags: [
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Show damaged images only' },
    { name: 'json', kind: 'switch', help: 'Print a line of JSON for each image' },
  ],
  args: [0, MANY],
  async run(parsed, { api }) {
    const names = parsed.args.length > 0 ? parsed.args : await allImages();
    const answer = await api.open('POST', '/gantry/verify', { body: { images: names } });
    let damaged = 0;
    for await (const line of jsonLines<Line>(answer)) {
      if (line.error !== undefined) throw engineError(500, JSON.stringify({ ...line, message: line.error }));
      if (line.flaws.length > 0) damaged++;
      if (parsed.switch('json')) process.stdout.write(`${JSON.stringify(line)}\n`);
      else if (line.flaws.length > 0 || !parsed.switch('quiet')) process.stdout.write(textOf(line));
    }
    return damaged > 0 ? 1 : 0;

    async function allImages(): Promise<string[]> {
      const found = await api.send<{ Id: string }[]>('GET', '/images/json', { query: { all: true } });
      return found.map(({ Id }) => Id);
    }
  },
};

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;

/** A line for the image, one for each flaw, and how it is mended. */
function textOf({ id, tags, layers, bytesRead, flaws }: Line): string {
  const name = tags.join(', ') || id.slice(7, 19);
  if (flaws.length === 0) return `✓ ${name}: ${plural(layers, 'layer')}, ${decimalSize(bytesRead)} read\n`;
  const rows = flaws.map(({ what, digest, reason }) => `  ${what} ${digest}: ${reason}\n`);
  const source = tags[0] ?? 'IMAGE';
  const bring = `gantry pull ${source}" or "gantry load -i FILE"`;
  const hint = flaws.every(({ replaceable }) => replaceable)
    ? `Bring it again: "${bring}`
    : `Its containers have to go first; then "gantry rmi ${source}", and "${bring}`;
  return `✗ ${name}: damaged\n${rows.join('')}  Hint: ${hint}\n`;
}
