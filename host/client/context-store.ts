// Docker's own store of contexts: contexts/meta/SHA256-OF-NAME/meta.json, with PEM files in contexts/tls/SHA256-OF-NAME/docker/.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { changeDockerConfig, type DockerPlugins, dockerDirectory } from '../docker-config-file.ts';
import { GantryError } from '../errors.ts';
import { DEFAULT_CONTEXT, type TlsFiles } from './target.ts';

/** As it lies on disk. */
export interface StoredContext {
  Name: string;
  Metadata: { Description?: string; [other: string]: unknown };
  Endpoints: { docker?: { Host?: string; SkipTLSVerify?: boolean }; [other: string]: unknown };
}

const FILES = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' } as const;
export type PemName = keyof typeof FILES;

const idOf = (name: string): string => createHash('sha256').update(name).digest('hex');
const store = (kind: 'meta' | 'tls'): string => join(dockerDirectory(), 'contexts', kind);
export const metaDirectory = (name: string): string => join(store('meta'), idOf(name));
export const tlsDirectory = (name: string): string => join(store('tls'), idOf(name));

/** @throws {GantryError} INVALID_ARGUMENT where there is none, STATE_DAMAGED where its file cannot be read. */
export function readContext(name: string): StoredContext {
  return readMeta(join(metaDirectory(name), 'meta.json'), name);
}

function readMeta(path: string, name: string): StoredContext {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new GantryError('INVALID_ARGUMENT', `Context "${name}" not found`, {
        hint: 'See "gantry context ls"',
        cause,
      });
    throw damaged(path, cause);
  }
  try {
    const { Name, Metadata, Endpoints } = JSON.parse(text) as StoredContext;
    if (typeof Name !== 'string') throw new TypeError('it has no name');
    return { Name, Metadata: Metadata ?? {}, Endpoints: Endpoints ?? {} };
  } catch (cause) {
    throw damaged(path, cause);
  }
}

function damaged(path: string, cause: unknown): GantryError {
  return new GantryError('STATE_DAMAGED', `Cannot read the context in "${path}": ${(cause as Error).message}`, {
    cause,
  });
}

/** All that can be read, by name. */
export function listContexts(): StoredContext[] {
  const ids = existsSync(store('meta')) ? readdirSync(store('meta')) : [];
  return ids.map((id) => readMeta(join(store('meta'), id, 'meta.json'), id)).sort((a, b) => (a.Name < b.Name ? -1 : 1));
}

/** Which of ca, cert and key a context has. */
export function pemFiles(name: string): PemName[] {
  return (Object.keys(FILES) as PemName[]).filter((pem) => existsSync(pemPath(name, pem)));
}

const pemPath = (name: string, pem: PemName): string => join(tlsDirectory(name), 'docker', FILES[pem]);

/** Where its engine is. @throws {GantryError} as readContext. */
export function contextAddress(name: string): { host: string; tls: TlsFiles | undefined } {
  const { Host, SkipTLSVerify } = readContext(name).Endpoints.docker ?? {};
  if (!Host)
    throw new GantryError('INVALID_ARGUMENT', `Context "${name}" has no docker endpoint`, {
      hint: `Make it anew: gantry context create NAME --docker host=ssh://HOST`,
    });
  const has = pemFiles(name);
  // As docker: with neither files nor "skip", there is no TLS.
  if (has.length === 0 && !SkipTLSVerify) return { host: Host, tls: undefined };
  return {
    host: Host,
    tls: {
      verify: !SkipTLSVerify,
      ...(has.includes('ca') ? { authority: pemPath(name, 'ca') } : {}),
      ...(has.includes('cert') ? { certificate: pemPath(name, 'cert') } : {}),
      ...(has.includes('key') ? { key: pemPath(name, 'key') } : {}),
    },
  };
}

/** @throws {GantryError} INVALID_ARGUMENT for a name that docker would not take; IN_USE where there is one already. */
export function createContext(context: StoredContext, pems: Partial<Record<PemName, Buffer>>): void {
  const { Name } = context;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/.test(Name) || Name === DEFAULT_CONTEXT)
    throw new GantryError(
      'INVALID_ARGUMENT',
      Name === DEFAULT_CONTEXT
        ? `Cannot create the context "${Name}": the name is reserved`
        : `Cannot create the context "${Name}": a name has two or more letters, digits, "_", ".", "+" and "-"`,
    );
  if (existsSync(metaDirectory(Name)))
    throw new GantryError('IN_USE', `Context "${Name}" already exists`, { hint: `gantry context rm ${Name}` });
  const directory = join(tlsDirectory(Name), 'docker');
  if (Object.keys(pems).length > 0) mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const [pem, bytes] of Object.entries(pems))
    writeFileSync(join(directory, FILES[pem as PemName]), bytes, { mode: 0o600 });
  mkdirSync(metaDirectory(Name), { recursive: true, mode: 0o755 });
  const path = join(metaDirectory(Name), 'meta.json');
  writeFileSync(`${path}.new`, JSON.stringify(context), { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

export function removeContext(name: string): void {
  for (const directory of [metaDirectory(name), tlsDirectory(name)])
    rmSync(directory, { recursive: true, force: true });
}

/** Which one gantry uses from now on; docker's own current context stays as it is. */
export function setUsedContext(name: string): void {
  changeDockerConfig<DockerPlugins>(({ plugins: { gantry: _before, ...others } = {}, ...file }) => {
    const plugins = { ...others, ...(name === DEFAULT_CONTEXT ? {} : { gantry: { context: name } }) };
    return Object.keys(plugins).length === 0 ? file : { ...file, plugins };
  });
}
