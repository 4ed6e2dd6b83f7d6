// "proxies" of docker's config.json: variables that containers and builds get from the client, as docker's own client gives them.
import { readDockerConfig } from '../docker-config-file.ts';
import { GantryError } from '../errors.ts';

interface ProxyFile {
  /** By address of an engine, or "default". */
  proxies: Record<string, Record<string, unknown>>;
}

const variables: Record<string, string> = {
  httpProxy: 'HTTP_PROXY',
  httpsProxy: 'HTTPS_PROXY',
  noProxy: 'NO_PROXY',
  ftpProxy: 'FTP_PROXY',
  allProxy: 'ALL_PROXY',
};

/**
 * In capitals and in small letters, for programs know one or the other.
 * @param engine its address; a path is that of a socket. @throws {GantryError} STATE_DAMAGED where a setting is no text.
 */
export function proxyVariables(engine: string): Record<string, string> {
  const { proxies = {} } = readDockerConfig<ProxyFile>();
  const settings = proxies[engine] ?? proxies[`unix://${engine}`] ?? proxies.default ?? {};
  return Object.fromEntries(
    Object.entries(variables).flatMap(([setting, name]) => {
      const value = settings[setting] ?? '';
      if (typeof value !== 'string')
        throw new GantryError('STATE_DAMAGED', `Cannot use "proxies" of docker's config.json: ${setting} is no text`, {
          hint: 'Such as "http://proxy.example.com:3128"',
        });
      return value === '' ? [] : [name, name.toLowerCase()].map((one): [string, string] => [one, value]);
    }),
  );
}

/** Those that are not given as NAME=value already, behind those that are. */
export function withProxies(given: string[], engine: string): string[] {
  const named = new Set(given.map((entry) => entry.split('=')[0]));
  const more = Object.entries(proxyVariables(engine)).filter(([name]) => !named.has(name));
  return [...given, ...more.map(([name, value]) => `${name}=${value}`)];
}
