// What names an engine, and what it comes to: a unix socket here, or TCP, TLS, ssh.

/** What stands in front of the command. */
export interface Target {
  host?: string;
  context?: string;
  /** Undefined where not said: the environment decides. */
  tls?: boolean;
  tlsverify?: boolean;
  /** Paths of PEM files. */
  tlscacert?: string;
  tlscert?: string;
  tlskey?: string;
}

export interface Endpoint {
  /** For messages: the path of the unix socket, or "tcp://HOST:PORT", "ssh://HOST". */
  name: string;
  /** Path of the unix socket; undefined for an engine elsewhere. */
  socket?: string;
  remote?: Remote;
  /** Nobody chose it: it may be started when nobody listens. */
  own: boolean;
}

export type Remote = { kind: 'tcp'; host: string; port: number; tls?: TlsFiles } | ({ kind: 'ssh' } & SshTarget);

export interface SshTarget {
  host: string;
  user?: string;
  port?: number;
  /** Path of the engine's socket there; undefined: what the far side takes by itself. */
  socket?: string;
}

/** Paths of PEM files; without `verify` the engine's certificate is not looked at. */
export interface TlsFiles {
  verify: boolean;
  authority?: string;
  certificate?: string;
  key?: string;
}

export const DEFAULT_CONTEXT = 'default';
