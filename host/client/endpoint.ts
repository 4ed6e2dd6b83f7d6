// Which engine the command line talks to: -c, -H, GANTRY_HOST, DOCKER_HOST, DOCKER_CONTEXT, what "gantry context use" chose, else
// this user's own. Every command runs through here: what only far engines need is loaded for them alone.
import { type DockerPlugins, readDockerConfig } from '../docker-config-file.ts';
import { GantryError } from '../errors.ts';
import { enginePaths } from '../paths.ts';
import { DEFAULT_CONTEXT, type Endpoint, type Target, type TlsFiles } from './target.ts';

/** Name of the context that holds where -H says nothing; "default" means this user's own engine. */
export function currentContext(target: Target = {}, env: NodeJS.ProcessEnv = process.env): string {
  if (target.context) return target.context;
  if (target.host || env.GANTRY_HOST || env.DOCKER_HOST) return DEFAULT_CONTEXT;
  return env.DOCKER_CONTEXT || usedContext();
}

/**
 * What "gantry context use" chose. Not docker's own current context: who has Docker Desktop beside gantry would never reach
 * gantry. It stands where docker's clients keep what belongs to others.
 */
export function usedContext(): string {
  return readDockerConfig<DockerPlugins>().plugins?.gantry?.context || DEFAULT_CONTEXT;
}

/** @throws {GantryError} INVALID_ARGUMENT, UNSUPPORTED for addresses that nothing can be reached at. */
export async function chooseEndpoint(target: Target = {}, env: NodeJS.ProcessEnv = process.env): Promise<Endpoint> {
  if (target.host && target.context)
    throw new GantryError('INVALID_ARGUMENT', 'Cannot use both --host and --context', {
      hint: 'A context names a host already',
      details: { flag: true },
    });
  const context = currentContext(target, env);
  if (context !== DEFAULT_CONTEXT) {
    const { contextAddress } = await import('./context-store.ts');
    const { host, tls } = contextAddress(context);
    return endpointAt(host, tls);
  }
  const host = target.host || (target.context ? '' : env.GANTRY_HOST || env.DOCKER_HOST);
  if (!host) return { name: enginePaths().socket, socket: enginePaths().socket, own: true };
  if (host.startsWith('unix://')) return unixEndpoint(host);
  const { tlsOf } = await import('./remote-address.ts');
  return endpointAt(host, tlsOf(target, env));
}

async function endpointAt(host: string, tls: TlsFiles | undefined): Promise<Endpoint> {
  if (host.startsWith('unix://')) return unixEndpoint(host);
  const { readRemote } = await import('./remote-address.ts');
  return { ...readRemote(host, tls), own: false };
}

function unixEndpoint(host: string): Endpoint {
  const socket = host.slice('unix://'.length);
  return { name: socket, socket, own: false };
}
