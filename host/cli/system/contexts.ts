// `context`: named engines, in the store that docker's clients have.
import { readFileSync } from 'node:fs';
import { chooseEndpoint, currentContext, usedContext } from '../../client/endpoint.ts';
import { DEFAULT_CONTEXT, type Target } from '../../client/target.ts';
import { GantryError } from '../../errors.ts';
import { type Command, MANY } from '../command.ts';
import { forEachName } from '../each.ts';
import { formatRows } from '../format/format.ts';
import { compileTemplate } from '../format/template.ts';
import type { PemName, StoredContext } from '../../client/context-store.ts';

const store = () => import('../../client/context-store.ts');

const columns: [string, string][] = [
  ['NAME', 'NameMark'],
  ['DESCRIPTION', 'Description'],
  ['DOCKER ENDPOINT', 'DockerEndpoint'],
  ['ERROR', 'Error'],
];

/** What "default" means: GANTRY_HOST, DOCKER_HOST, else this user's own engine. */
async function defaultContext(target: Target): Promise<StoredContext> {
  const own = await chooseEndpoint(target.host ? { host: target.host } : {}, {
    ...process.env,
    DOCKER_CONTEXT: DEFAULT_CONTEXT,
  }).catch((error: unknown) => error as Error);
  const host =
    own instanceof Error
      ? (process.env.GANTRY_HOST || process.env.DOCKER_HOST)!
      : own.socket === undefined
        ? own.name
        : `unix://${own.socket}`;
  const Description = 'The engine of this user, or of GANTRY_HOST and DOCKER_HOST';
  return {
    Name: DEFAULT_CONTEXT,
    Metadata: { Description },
    Endpoints: { docker: { Host: host, SkipTLSVerify: false } },
  };
}

const ls: Command = {
  usage: '[OPTIONS]',
  summary: 'List contexts',
  flags: [
    { name: 'format', kind: 'value', value: 'string', help: "Format output: 'table', 'json' or a Go template" },
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Only show context names' },
  ],
  args: [0, 0],
  async run(parsed, { target }) {
    const all = [await defaultContext(target), ...(await store()).listContexts()];
    const now = currentContext(target);
    const rows = all.map(({ Name, Metadata, Endpoints }) => ({
      Name,
      NameMark: Name === now ? `${Name} *` : Name,
      Current: Name === now,
      Description: Metadata.Description ?? '',
      DockerEndpoint: Endpoints.docker?.Host ?? '',
      Error: '',
    }));
    // One that is chosen and not there is shown with what is wrong.
    if (!all.some(({ Name }) => Name === now))
      rows.push({
        Name: now,
        NameMark: `${now} *`,
        Current: true,
        Description: '',
        DockerEndpoint: '',
        Error: 'not found',
      });
    if (parsed.switch('quiet')) process.stdout.write(rows.map(({ Name }) => `${Name}\n`).join(''));
    else {
      const format = parsed.value('format');
      const shown = format === undefined || format === 'table' ? rows : rows.map(({ NameMark: _mark, ...row }) => row);
      process.stdout.write(formatRows(shown, format, columns));
    }
    return 0;
  },
};

const use: Command = {
  usage: 'CONTEXT',
  summary: "Set the context that gantry's and docker's clients use",
  flags: [],
  args: [1, 1],
  async run({ args: [name = ''] }) {
    const { readContext, setUsedContext } = await store();
    if (name !== DEFAULT_CONTEXT) readContext(name);
    setUsedContext(name);
    process.stdout.write(`${name}\n`);
    process.stderr.write(`Current context is now "${name}"\n`);
    const stronger = ['GANTRY_HOST', 'DOCKER_HOST', 'DOCKER_CONTEXT'].find((variable) => process.env[variable]);
    if (stronger !== undefined)
      process.stderr.write(`Warning: ${stronger} environment variable overrides the active context.\n`);
    return 0;
  },
};

const PEMS: PemName[] = ['ca', 'cert', 'key'];

/** "host=ssh://far,ca=FILE,…" @throws {GantryError} INVALID_ARGUMENT. */
function readEndpoint(text: string): { host: string; skip: boolean; pems: Partial<Record<PemName, Buffer>> } {
  const invalid = (why: string): GantryError =>
    new GantryError('INVALID_ARGUMENT', `Cannot read --docker "${text}": ${why}`, {
      hint: 'Such as host=tcp://HOST:2376,ca=ca.pem,cert=cert.pem,key=key.pem',
      details: { flag: true },
    });
  let [host, skip] = ['', false];
  const pems: Partial<Record<PemName, Buffer>> = {};
  for (const entry of text.split(',')) {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/.exec(entry) ?? [];
    const pem = PEMS.find((known) => known === key);
    if (key === 'host') host = value;
    else if (key === 'skip-tls-verify') skip = /^(true|1|t)$/i.test(value);
    else if (pem === undefined) throw invalid(`"${entry}" is none of host, ca, cert, key and skip-tls-verify`);
    else {
      try {
        pems[pem] = readFileSync(value);
      } catch (cause) {
        throw invalid(`cannot read "${value}" (${(cause as NodeJS.ErrnoException).code})`);
      }
    }
  }
  if (host === '') throw invalid('no host is given');
  if ((pems.cert === undefined) !== (pems.key === undefined)) throw invalid('cert and key belong together');
  return { host, skip, pems };
}

const create: Command = {
  usage: '[OPTIONS] CONTEXT',
  summary: 'Create a context',
  flags: [
    { name: 'description', kind: 'value', value: 'string', help: 'Description of the context' },
    {
      name: 'docker',
      kind: 'value',
      value: 'stringToString',
      help: 'The endpoint: host=…[,ca=FILE,cert=FILE,key=FILE]',
    },
    {
      name: 'from',
      kind: 'value',
      value: 'string',
      help: 'A context to copy',
      refused: 'give --docker host=… instead',
    },
  ],
  args: [1, 1],
  async run(parsed) {
    const given = parsed.value('docker');
    if (given === undefined)
      throw new GantryError('INVALID_ARGUMENT', 'Cannot create a context without --docker', {
        hint: 'Such as --docker host=ssh://USER@HOST',
        details: { flag: true },
      });
    const { host, skip, pems } = readEndpoint(given);
    // What can never be connected to is refused now, and not at the first use.
    if (!host.startsWith('unix://')) {
      const { readRemote } = await import('../../client/remote-address.ts');
      readRemote(host, skip || pems.ca || pems.cert ? { verify: !skip } : undefined);
    }
    const [Name = ''] = parsed.args;
    const Description = parsed.value('description');
    const context: StoredContext = {
      Name,
      Metadata: Description ? { Description } : {},
      Endpoints: { docker: { Host: host, SkipTLSVerify: skip } },
    };
    (await store()).createContext(context, pems);
    process.stdout.write(`${Name}\n`);
    process.stderr.write(`Successfully created context "${Name}"\n`);
    return 0;
  },
};

const rm: Command = {
  usage: '[OPTIONS] CONTEXT [CONTEXT...]',
  summary: 'Remove one or more contexts',
  flags: [{ name: 'force', short: 'f', kind: 'switch', help: 'Remove a context that is in use too' }],
  args: [1, MANY],
  async run(parsed) {
    const { readContext, removeContext, setUsedContext } = await store();
    const force = parsed.switch('force');
    return forEachName(parsed.args, async (name) => {
      if (name === DEFAULT_CONTEXT) throw new GantryError('INVALID_ARGUMENT', `Context "${name}" cannot be removed`);
      const current = usedContext() === name;
      if (current && !force)
        throw new GantryError('IN_USE', `Context "${name}" is in use, set -f flag to force remove`);
      if (!force) readContext(name);
      removeContext(name);
      if (current) setUsedContext(DEFAULT_CONTEXT);
      return name;
    });
  },
};

const inspect: Command = {
  usage: '[OPTIONS] [CONTEXT...]',
  summary: 'Display detailed information on one or more contexts',
  flags: [{ name: 'format', short: 'f', kind: 'value', value: 'string', help: 'Format output using a Go template' }],
  args: [0, MANY],
  async run(parsed, { target }) {
    const { metaDirectory, pemFiles, readContext, tlsDirectory } = await store();
    const names = parsed.args.length > 0 ? parsed.args : [currentContext(target)];
    const found = await Promise.all(
      names.map(async (name) => {
        const own = name === DEFAULT_CONTEXT;
        const has = own ? [] : pemFiles(name);
        return {
          ...(own ? await defaultContext(target) : readContext(name)),
          TLSMaterial: has.length > 0 ? { docker: has.map((pem) => `${pem}.pem`) } : {},
          Storage: {
            MetadataPath: own ? '<IN MEMORY>' : metaDirectory(name),
            TLSPath: own ? '<IN MEMORY>' : tlsDirectory(name),
          },
        };
      }),
    );
    const format = parsed.value('format');
    const render = format === undefined ? undefined : compileTemplate(format);
    process.stdout.write(
      render === undefined ? `${JSON.stringify(found, null, 4)}\n` : found.map((one) => `${render(one)}\n`).join(''),
    );
    return 0;
  },
};

const show: Command = {
  usage: '',
  summary: 'Print the name of the current context',
  flags: [],
  args: [0, 0],
  async run(_parsed, { target }) {
    process.stdout.write(`${currentContext(target)}\n`);
    return 0;
  },
};

export const commands: Record<string, Command> = { ls, use, create, rm, inspect, show };
