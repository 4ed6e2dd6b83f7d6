// Whether a registry takes a login, before anyone stores it.
import type { Credentials } from './credentials.ts';
import { createSession } from './registry-session.ts';

/** @throws {GantryError} AUTH_FAILED, REGISTRY_FAILED. */
export async function checkLogin(registry: string, credentials: Credentials): Promise<void> {
  const session = createSession({ registry, repository: '' }, 'log in', { credentials });
  try {
    const answer = await session.request(new URL('/v2/', session.base()));
    answer.body.resume();
  } finally {
    session.close();
  }
}
