// A real registry on loopback (Debian's docker-registry), filled with skopeo.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
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

export interface RegistryOptions {
  /** Directory of the blobs, which stays; absent: one of its own. */
  storage?: string;
  readonly?: boolean;
}

export async function startRegistry({ storage, readonly = false }: RegistryOptions = {}): Promise<TestRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(directory, 'config.yml');
  const data = storage ?? join(directory, 'data');
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${data}}, maintenance: {readonly: {enabled: ${readonly}}}}\nhttp: {addr: "${host}"}\n`,
  );
  const child: ChildProcess = spawn('/usr/bin/docker-registry', ['serve', config], { stdio: 'ignore' });
  await until(
    () =>
      fetch(`http://${host}/v2/`).then(
        ({ ok }) => ok,
        () => false,
      ),
    'the registry',
  );
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
