// What a request says about who is logged in at a registry.
import { serverKey, storedLogin } from './docker-config.ts';

/** The registry that a name leads to, by docker's rule. */
function registryOf(name: string): string {
  const first = name.includes('/') ? name.slice(0, name.indexOf('/')) : '';
  return /[.:]/.test(first) || first === 'localhost' ? first : 'docker.io';
}

/** Header X-Registry-Auth for who is logged in at the registry of a name. */
export async function loginHeader(name: string): Promise<Record<string, string>> {
  const registry = registryOf(name);
  const login = await storedLogin(registry);
  if (login === undefined) return {};
  const { username, password, identityToken } = login;
  const value = { username, password, identitytoken: identityToken, serveraddress: serverKey(registry) };
  return { 'x-registry-auth': Buffer.from(JSON.stringify(value)).toString('base64url') };
}
