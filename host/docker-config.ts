// Logins at registries as docker's clients keep them: ~/.docker/config.json, and the programs docker-credential-* that it names.
import { spawn } from 'node:child_process';
import { changeDockerConfig, dockerConfigPath, readDockerConfig } from './docker-config-file.ts';
import { GantryError } from './errors.ts';

export interface Login {
  username: string;
  password: string;
  /** An identity token in place of a password. */
  identityToken?: string;
}

interface ConfigFile {
  auths?: Record<string, { auth?: string; identitytoken?: string }>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
}

const HUB = 'https://index.docker.io/v1/';
/** What helpers call a user whose secret is an identity token. */
const TOKEN_USER = '<token>';
const HELPER_MS = 30_000;

/** The key under which a registry stands: docker.io has an older one. */
export function serverKey(registry: string): string {
  return /^(index\.)?docker\.io$/.test(registry) ? HUB : registry;
}

function helperOf({ credsStore, credHelpers = {} }: ConfigFile, key: string): string | undefined {
  return credHelpers[key] ?? credHelpers[key === HUB ? 'docker.io' : key] ?? (credsStore || undefined);
}

/** @throws {GantryError} AUTH_FAILED where a helper cannot be run or refuses. */
export async function storedLogin(registry: string): Promise<Login | undefined> {
  const config = readDockerConfig<ConfigFile>();
  const key = serverKey(registry);
  const helper = helperOf(config, key);
  if (helper !== undefined) {
    const found = await askHelper(helper, 'get', key);
    if (found !== undefined) return found;
  }
  const names = key === HUB ? [HUB, 'docker.io', 'index.docker.io'] : [key, `https://${key}`, `http://${key}`];
  const entry = names.map((name) => config.auths?.[name]).find((one) => one?.auth || one?.identitytoken);
  if (entry === undefined) return undefined;
  const [username = '', ...password] = Buffer.from(entry.auth ?? '', 'base64')
    .toString()
    .split(':');
  const identityToken = entry.identitytoken ? { identityToken: entry.identitytoken } : {};
  return { username, password: password.join(':'), ...identityToken };
}

/** All logins that the configuration names, by their keys. @throws {GantryError} AUTH_FAILED as storedLogin. */
export async function storedLogins(): Promise<Record<string, Login>> {
  const { auths = {}, credHelpers = {} } = readDockerConfig<ConfigFile>();
  const keys = new Set(
    [...Object.keys(auths), ...Object.keys(credHelpers)].map((name) =>
      name.replace(/^https?:\/\/(?!index\.docker\.io\/v1\/)/, ''),
    ),
  );
  const found = await Promise.all(
    [...keys].map(async (key) => [serverKey(key), await storedLogin(key === HUB ? 'docker.io' : key)] as const),
  );
  return Object.fromEntries(found.flatMap(([key, login]) => (login === undefined ? [] : [[key, login]])));
}

async function askHelper(helper: string, action: 'get', key: string): Promise<Login | undefined> {
  const said = await runHelper(helper, action, key);
  if (said === undefined) return undefined;
  try {
    const { Username = '', Secret = '' } = JSON.parse(said) as { Username?: string; Secret?: string };
    if (Username === TOKEN_USER) return { username: '', password: '', identityToken: Secret };
    return Secret === '' && Username === '' ? undefined : { username: Username, password: Secret };
  } catch (cause) {
    throw new GantryError(
      'AUTH_FAILED',
      `Cannot read the login for "${key}": docker-credential-${helper} sent no JSON`,
      {
        cause,
      },
    );
  }
}

/** Its standard output; undefined where it knows no such login. Secrets are in no message. */
async function runHelper(
  helper: string,
  action: 'get' | 'store' | 'erase',
  input: string,
): Promise<string | undefined> {
  const name = `docker-credential-${helper}`;
  if (!/^[\w.-]+$/.test(helper))
    throw new GantryError('AUTH_FAILED', `Cannot run the credential helper "${helper}": it is no program's name`);
  const { status, output, error } = await new Promise<{
    status: number;
    output: string;
    error?: NodeJS.ErrnoException;
  }>((resolve) => {
    const child = spawn(name, [action], { stdio: ['pipe', 'pipe', 'pipe'], timeout: HELPER_MS });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk));
    child.stderr.resume();
    child.stdin.on('error', () => {});
    child.once('error', (error) => resolve({ status: -1, output, error }));
    child.once('close', (code) => resolve({ status: code ?? -1, output }));
    child.stdin.end(input);
  });
  if (status === 0) return output;
  if (/credentials not found/i.test(output)) return undefined;
  throw new GantryError(
    'AUTH_FAILED',
    `Cannot ${action === 'get' ? 'read' : action} the login: ${name} ${error === undefined ? `ended with ${status}: ${output.trim().slice(0, 200)}` : `cannot be run (${error.code})`}`,
    {
      hint: `Install ${name}, or take it out of "credsStore" and "credHelpers" in ${dockerConfigPath()}`,
      cause: error,
    },
  );
}

/** Keeps a login where the configuration says; returns whether it lies there in plain text. */
export async function storeLogin(registry: string, login: Login): Promise<boolean> {
  const config = readDockerConfig<ConfigFile>();
  const key = serverKey(registry);
  const helper = helperOf(config, key);
  const token = login.identityToken;
  if (helper !== undefined) {
    const secret = { ServerURL: key, Username: token ? TOKEN_USER : login.username, Secret: token ?? login.password };
    await runHelper(helper, 'store', JSON.stringify(secret));
    change((auths) => ({ ...auths, [key]: {} }));
    return false;
  }
  const auth = Buffer.from(`${login.username}:${token ? '' : login.password}`).toString('base64');
  change((auths) => ({ ...auths, [key]: { auth, ...(token ? { identitytoken: token } : {}) } }));
  return true;
}

/** Returns whether there was one. */
export async function eraseLogin(registry: string): Promise<boolean> {
  const config = readDockerConfig<ConfigFile>();
  const key = serverKey(registry);
  const known = config.auths !== undefined && key in config.auths;
  const helper = helperOf(config, key);
  if (helper !== undefined) await runHelper(helper, 'erase', key);
  if (known) change(({ [key]: _gone, ...others }) => others);
  return known || helper !== undefined;
}

function change(edit: (auths: NonNullable<ConfigFile['auths']>) => NonNullable<ConfigFile['auths']>): void {
  changeDockerConfig<ConfigFile>((file) => ({ ...file, auths: edit(file.auths ?? {}) }));
}
