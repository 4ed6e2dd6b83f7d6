// `push`, `login`, `logout`: what has to do with registries beyond pulling.
import { createInterface } from 'node:readline';
import { loginHeader } from '../../login-header.ts';
import { eraseLogin, type Login, serverKey, storedLogin, storedLogins, storeLogin } from '../../docker-config.ts';
import { GantryError } from '../../errors.ts';
import type { Command } from '../command.ts';
import type { Parsed } from '../flags.ts';
import { showProgress } from './progress.ts';
import { askHidden, askLine } from './prompt.ts';

/** Header X-Registry-Config for all who are logged in anywhere: a build's images may come from there. */
export async function loginsHeader(): Promise<Record<string, string>> {
  const logins = Object.entries(await storedLogins()).map(([server, { username, password, identityToken }]) => {
    return [server, { username, password, identitytoken: identityToken, serveraddress: server }];
  });
  if (logins.length === 0) return {};
  return { 'x-registry-config': Buffer.from(JSON.stringify(Object.fromEntries(logins))).toString('base64url') };
}

const push: Command = {
  usage: '[OPTIONS] NAME[:TAG]',
  summary: 'Upload an image to a registry',
  flags: [
    { name: 'all-tags', short: 'a', kind: 'switch', help: 'Push all tags of an image to the repository' },
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Suppress verbose output' },
    { name: 'disable-content-trust', kind: 'switch', help: '', hidden: true },
    { name: 'platform', kind: 'value', help: '', hidden: true, refused: 'an image here is of one platform' },
  ],
  args: [1, 1],
  async run(parsed, { api }) {
    const [name = ''] = parsed.args;
    const [, repository = name, tag] = /^(.*?)(?::([^:/]+))?$/.exec(name) ?? [];
    const all = parsed.switch('all-tags');
    if (all && tag !== undefined)
      throw new GantryError('INVALID_ARGUMENT', "Tag can't be used with --all-tags/-a", {
        hint: `gantry push -a ${repository}`,
      });
    const answer = await api.open('POST', `/images/${encodeURIComponent(repository).replaceAll('%2F', '/')}/push`, {
      query: { tag: all ? undefined : (tag ?? 'latest') },
      headers: await loginHeader(repository),
    });
    await showProgress(answer, process.stdout, parsed.switch('quiet'));
    if (parsed.switch('quiet')) process.stdout.write(`${all ? repository : `${repository}:${tag ?? 'latest'}`}\n`);
    return 0;
  },
};

async function readLine(): Promise<string> {
  for await (const line of createInterface({ input: process.stdin })) return line;
  return '';
}

type Refusal = (message: string, hint?: string) => GantryError;

/** Name and password from flags, standard input, or a person at a terminal; undefined where that one leaves. */
async function loginOf(parsed: Parsed, registry: string, invalid: Refusal): Promise<Login | undefined> {
  const fromStdin = parsed.switch('password-stdin');
  if (fromStdin && parsed.has('password')) throw invalid('--password and --password-stdin are mutually exclusive');
  if (fromStdin && !parsed.has('username'))
    throw invalid('Must provide --username with --password-stdin', 'gantry login -u NAME --password-stdin SERVER');
  if (parsed.has('password'))
    process.stderr.write('WARNING: --password shows the password to others on this machine; use --password-stdin\n');
  const needsPerson = !parsed.has('username') || !(parsed.has('password') || fromStdin);
  if (needsPerson && !process.stdin.isTTY)
    throw invalid(
      'Cannot perform an interactive login from a non TTY device',
      `gantry login -u NAME --password-stdin ${registry} < FILE`,
    );
  const username = parsed.value('username') ?? (await askLine('Username: '));
  if (username === undefined) return undefined;
  if (username === '') throw invalid('The username is empty');
  const password = parsed.value('password') ?? (await (fromStdin ? readLine() : askHidden('Password: ')));
  if (password === undefined) return undefined;
  if (password === '') throw invalid('The password is empty');
  return { username, password };
}

/** What is stored is tried first, as by docker; where it is refused, a person may give another. */
async function worksStill(known: Login, check: (login: Login) => Promise<unknown>): Promise<boolean> {
  const whose = known.username ? ` [Username: ${known.username}]` : '';
  process.stdout.write(`Authenticating with existing credentials...${whose}\n`);
  try {
    await check(known);
  } catch (error) {
    if (!(error instanceof GantryError) || error.code !== 'AUTH_FAILED' || !process.stdin.isTTY) throw error;
    process.stdout.write(`${error.message}\n`);
    return false;
  }
  process.stdout.write('Login Succeeded\n');
  return true;
}

const login: Command = {
  usage: '[OPTIONS] [SERVER]',
  summary: 'Authenticate to a registry',
  flags: [
    { name: 'username', short: 'u', kind: 'value', value: 'string', help: 'Username' },
    {
      name: 'password',
      short: 'p',
      kind: 'value',
      value: 'string',
      help: 'Password; others on this machine may see it',
    },
    { name: 'password-stdin', kind: 'switch', help: 'Take the password from stdin' },
  ],
  args: [0, 1],
  async run(parsed, { api }) {
    const invalid = (message: string, hint?: string): GantryError =>
      new GantryError('INVALID_ARGUMENT', message, { hint });
    const registry = (parsed.args[0] ?? 'docker.io').replace(/^https?:\/\//, '').replace(/\/.*$/, '');
    const check = ({ username, password, identityToken }: Login): Promise<unknown> =>
      api.send('POST', '/auth', {
        body: { username, password, identitytoken: identityToken, serveraddress: serverKey(registry) },
      });
    const known = ['username', 'password', 'password-stdin'].some((flag) => parsed.has(flag))
      ? undefined
      : await storedLogin(registry);
    if (known !== undefined && (await worksStill(known, check))) return 0;
    const given = await loginOf(parsed, registry, invalid);
    if (given === undefined) return 130; // Left with Ctrl-C.
    await check(given);
    if (await storeLogin(registry, given))
      process.stderr.write(
        'WARNING: The password is stored unencrypted in docker\'s config.json; "credsStore" there names a program that keeps it\n',
      );
    process.stdout.write('Login Succeeded\n');
    return 0;
  },
};

const logout: Command = {
  usage: '[SERVER]',
  summary: 'Log out from a registry',
  flags: [],
  args: [0, 1],
  async run({ args: [server = 'docker.io'] }) {
    const registry = server.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
    const known = await eraseLogin(registry);
    process.stdout.write(
      known ? `Removing login credentials for ${serverKey(registry)}\n` : `Not logged in to ${serverKey(registry)}\n`,
    );
    return 0;
  },
};

export const commands: Record<string, Command> = { push, login, logout };
