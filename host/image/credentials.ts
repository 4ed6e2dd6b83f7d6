// Registry credentials: those of a request, else those that `docker login` stored in plain text.
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface Credentials {
  username: string;
  password: string;
  /** An identity token in place of a password. */
  identityToken?: string;
}

const HUB = 'https://index.docker.io/v1/';

/** Looks in $DOCKER_CONFIG/config.json, ~/.docker/config.json. Undefined: anonymous. */
export async function storedCredentials(registry: string): Promise<Credentials | undefined> {
  const path = join(process.env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json');
  const text = await readFile(path, 'utf8').catch(() => '');
  try {
    const { auths = {} } = JSON.parse(text || '{}') as {
      auths?: Record<string, { auth?: string; identitytoken?: string }>;
    };
    const names = registry === 'docker.io' ? [HUB, 'docker.io', 'index.docker.io'] : [registry, `https://${registry}`];
    const entry = names.map((name) => auths[name]).find((found) => found !== undefined);
    if (entry?.auth === undefined) return undefined;
    const [username = '', ...password] = Buffer.from(entry.auth, 'base64').toString().split(':');
    return {
      username,
      password: password.join(':'),
      ...(entry.identitytoken ? { identityToken: entry.identitytoken } : {}),
    };
  } catch {
    return undefined; // Not ours to mend; an anonymous request tells what is missing.
  }
}
