// What stands before the command: -H HOST, -c CONTEXT, --tls….
import type { Target } from '../client/target.ts';
import { type Flag, missingValue } from './flags.ts';

export const globalFlags: Flag[] = [
  {
    name: 'host',
    short: 'H',
    kind: 'value',
    value: 'string',
    help: 'Engine to connect to (unix:///PATH, tcp://HOST:PORT, ssh://HOST)',
  },
  {
    name: 'context',
    short: 'c',
    kind: 'value',
    value: 'string',
    help: "One of docker's contexts; default: DOCKER_CONTEXT, else the one in use",
  },
  { name: 'tls', kind: 'switch', help: 'Use TLS, without asking who the engine is' },
  {
    name: 'tlsverify',
    kind: 'switch',
    help: 'Use TLS, and only with an engine whose certificate --tlscacert has signed',
  },
  {
    name: 'tlscacert',
    kind: 'value',
    value: 'string',
    help: 'Path to the certificate of the authority (~/.docker/ca.pem)',
  },
  { name: 'tlscert', kind: 'value', value: 'string', help: 'Path to the TLS certificate file (~/.docker/cert.pem)' },
  { name: 'tlskey', kind: 'value', value: 'string', help: 'Path to the TLS key file (~/.docker/key.pem)' },
];

/** Reads them off the front; other words are the command's. @throws {GantryError} INVALID_ARGUMENT. */
export function splitGlobal(argv: string[]): { target: Target; rest: string[] } {
  const target: Record<string, string | boolean> = {};
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at]!;
    const [, name, short, inline] =
      /^(?:--([a-z]+)|-([Hc]))(?:=(.*))?$/s.exec(word) ?? /^(?:()-([Hc]))(.+)$/s.exec(word) ?? [];
    const flag = globalFlags.find((known) =>
      name ? known.name === name : short !== undefined && known.short === short,
    );
    if (flag === undefined) break;
    if (flag.kind === 'switch') {
      if (inline !== undefined && !/^(true|false|1|0|t|f)$/i.test(inline)) break;
      target[flag.name] = /^(true|1|t)$/i.test(inline ?? 'true');
    } else {
      const value = inline ?? argv[++at];
      if (value === undefined) throw missingValue(word, 'gantry');
      target[flag.name] = value;
    }
  }
  return { target, rest: argv.slice(at) };
}
