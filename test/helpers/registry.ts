// A real registry on loopback (Debian's docker-registry), filled with skopeo.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './cli.ts';

export interface TestRegistry {
  /** "127.0.0.1:PORT". */
  host: string;
  directory: string;
  /** Pushes a docker-archive; returns the reference. */
  push(archive: string, name: string, ...options: string[]): string;
  close(): Promise<void>;
}

export function whyNoRegistry(): string {
  const missing = ['/usr/bin/docker-registry', '/usr/bin/skopeo'].find((path) => !existsSync(path));
  if (missing !== undefined) console.log(`Pulling is not tested: ${missing} is not installed`);
  return missing ?? '';
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy());
  });
}

export interface RegistryOptions {
  /** Directory of the blobs, which stays; absent: one of its own. */
  storage?: string;
  readonly?: boolean;
  /** Further members of its configuration, YAML. */
  auth?: string;
  tls?: string;
}

export async function startRegistry({
  storage,
  readonly = false,
  auth,
  tls,
}: RegistryOptions = {}): Promise<TestRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(directory, 'config.yml');
  const data = storage ?? join(directory, 'data');
  const lines = [
    'version: 0.1',
    'log: {level: error}',
    `storage: {filesystem: {rootdirectory: ${data}}, maintenance: {readonly: {enabled: ${readonly}}}}`,
    `http: {addr: "${host}"${tls === undefined ? '' : `, tls: ${tls}`}}`,
    ...(auth === undefined ? [] : [`auth: ${auth}`]),
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  const child: ChildProcess = spawn('/usr/bin/docker-registry', ['serve', config], { stdio: 'ignore' });
  const port = Number(host.split(':')[1]);
  await until(() => listens(port), 'the registry');
  return {
    host,
    directory,
    push(archive, name, ...options) {
      execFileSync('skopeo', [
        'copy',
        '--insecure-policy',
        '--quiet',
        '--dest-tls-verify=false',
        ...options,
        `docker-archive:${archive}`,
        `docker://${host}/${name}`,
      ]);
      return `${host}/${name}`;
    },
    async close() {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await gone;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
