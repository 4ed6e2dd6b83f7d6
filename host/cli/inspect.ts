// `inspect`: all that the engine knows of containers, images and volumes.
import type { Api } from '../client/api.ts';
import { GantryError } from '../errors.ts';
import { type Command, MANY } from './command.ts';
import { compileTemplate } from './template.ts';

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
    if (path === undefined) throw new GantryError('INVALID_ARGUMENT', `"${kind}" is not a valid value for --type`);
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

export const inspect: Command = {
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  summary: 'Return low-level information on objects',
  flags: [
    { name: 'format', short: 'f', kind: 'value', value: 'string', help: "Format output: 'json' or a Go template" },
    { name: 'size', short: 's', kind: 'switch', help: 'Display total file sizes if the type is container' },
    { name: 'type', kind: 'value', value: 'string', help: 'Only inspect objects of the given type' },
  ],
  args: [1, MANY],
  async run(parsed, { api }) {
    const format = parsed.value('format');
    const render = format === undefined || format === 'json' ? undefined : compileTemplate(format);
    const found: unknown[] = [];
    let status = 0;
    for (const name of parsed.args) {
      try {
        found.push(await find(api, name, parsed.value('type'), parsed.switch('size')));
      } catch (error) {
        if (!(error instanceof GantryError) || error.code !== 'PATH_NOT_FOUND') throw error;
        process.stderr.write(`gantry: ${error.message}\n`);
        status = 1;
      }
    }
    if (render !== undefined) for (const value of found) process.stdout.write(`${render(withHealth(value))}\n`);
    else process.stdout.write(`${format === 'json' ? JSON.stringify(found) : JSON.stringify(found, null, 4)}\n`);
    return status;
  },
};

/** Docker's client knows the field of every container, so that templates may ask whether it has one. */
function withHealth(value: unknown): unknown {
  const { State } = value as { State?: object };
  return State === undefined ? value : { ...(value as object), State: { Health: null, ...State } };
}
