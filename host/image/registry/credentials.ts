// Registry credentials: those of a request, else those that the engine's user has stored for docker's clients.
import { type Login, storedLogin } from '../../docker-config.ts';

export type Credentials = Login;

/** Undefined: anonymous. @throws {GantryError} AUTH_FAILED where a credential helper fails. */
export function storedCredentials(registry: string): Promise<Credentials | undefined> {
  return storedLogin(registry);
}
