// `inspect`: all that the engine knows of containers, images and volumes.
import type { Api } from '../../client/api.ts';
import { GantryError } from '../../errors.ts';
import { type Command, MANY } from '../command.ts';
import type { Flag, Parsed } from '../flags.ts';
import { compileTemplate } from '../format/template.ts';

const kinds: Record<string, (name: string) => string> = {
  container: (name) => `/containers/${name}/json`,
  image: (name) => `/images/${name}/json`,
  volume: (name) => `/volumes/${name}`,
  network: (name) => `/networks/${name}`,
};

async function find(api: Api, name: string, type: string | undefined, size: boolean): Promise<unknown> {
  const wanted = type === undefined ? Object.keys(kinds) : [type];
  for (const kind of wanted) {
    const path = kinds[kind];
    if (path === undefined)
      throw new GantryError(
        'INVALID_ARGUMENT',
        `Unknown type: "${kind}": must be one of "${Object.keys(kinds).join('", "')}"`,
      );
    try {
      const query = kind === 'container' ? { size } : {};
      return await api.send('GET', path(encodeURIComponent(name).replaceAll('%2F', '/')), { query });
    } catch (error) {
      const missing =
        error instanceof GantryError && (/_NOT_FOUND$/.test(error.code) || error.code === 'INVALID_ARGUMENT');
      if (!missing) throw error;
    }
  }
  throw new GantryError('PATH_NOT_FOUND', `No such ${type ?? 'object'}: ${name}`);
}

const FORMAT: Flag = {
  name: 'format',
  short: 'f',
  kind: 'value',
  value: 'string',
  help: "Format output: 'json' or a Go template",
};
const SIZE: Flag = {
  name: 'size',
  short: 's',
  kind: 'switch',
  help: 'Display total file sizes if the type is container',
};
const TYPE: Flag = { name: 'type', kind: 'value', value: 'string', help: 'Only inspect objects of the given type' };

async function show(parsed: Parsed, api: Api, type: string | undefined): Promise<number> {
  const format = parsed.value('format');
  const render = format === undefined || format === 'json' ? undefined : compileTemplate(format);
  const found: unknown[] = [];
  let status = 0;
  for (const name of parsed.args) {
    try {
      found.push(await find(api, name, type, parsed.switch('size')));
    } catch (error) {
      if (!(error instanceof GantryError) || error.code !== 'PATH_NOT_FOUND') throw error;
      process.stderr.write(`gantry: ${error.message}\n`);
      status = 1;
    }
  }
  if (render !== undefined) for (const value of found) process.stdout.write(`${render(withHealth(value))}\n`);
  else process.stdout.write(`${format === 'json' ? JSON.stringify(found) : JSON.stringify(found, null, 4)}\n`);
  return status;
}

export const inspect: Command = {
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  summary: 'Return low-level information on objects',
  flags: [FORMAT, SIZE, TYPE],
  args: [1, MANY],
  run: (parsed, { api }) => show(parsed, api, parsed.value('type')),
};

/** The same for one kind of object: its name may be another's, too. */
export const inspectContainer: Command = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Display detailed information on one or more containers',
  flags: [FORMAT, { ...SIZE, help: 'Display total file sizes' }],
  args: [1, MANY],
  run: (parsed, { api }) => show(parsed, api, 'container'),
};

export const inspectImage: Command = {
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Display detailed information on one or more images',
  flags: [
    FORMAT,
    {
      name: 'platform',
      kind: 'value',
      help: '',
      hidden: true,
      refused: 'one platform of an image is kept; "gantry pull --platform" brings another',
    },
  ],
  args: [1, MANY],
  run: (parsed, { api }) => show(parsed, api, 'image'),
};

/** Docker's client knows the field of every container, so that templates may ask whether it has one. */
function withHealth(value: unknown): unknown {
  const { State } = value as { State?: object };
  if (State === undefined || 'Health' in State) return value;
  // Not in {{json .State}}.
  const state = Object.defineProperty({ ...State }, 'Health', { value: null, enumerable: false });
  return { ...(value as object), State: state };
}
