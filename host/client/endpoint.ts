// Which engine the command line talks to: -H, GANTRY_HOST, DOCKER_HOST, else this user's own.
import { GantryError } from '../errors.ts';
import { enginePaths } from '../paths.ts';

export interface Endpoint {
  /** Path of the unix socket. */
  socket: string;
  /** Nobody chose it: it may be started when nobody listens. */
  own: boolean;
}

/** @throws {GantryError} UNSUPPORTED for another transport than a unix socket. */
export function chooseEndpoint(host: string | undefined, env: NodeJS.ProcessEnv = process.env): Endpoint {
  const chosen = host || env.GANTRY_HOST || env.DOCKER_HOST;
  if (!chosen) return { socket: enginePaths().socket, own: true };
  if (chosen.startsWith('unix://')) return { socket: chosen.slice('unix://'.length), own: false };
  throw new GantryError('UNSUPPORTED', `Cannot connect to "${chosen}": only unix:// sockets are supported`, {
    hint: 'Such as unix:///run/gantry/gantry.sock',
  });
}
