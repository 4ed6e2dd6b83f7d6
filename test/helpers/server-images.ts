// Real images in a real registry: busybox for two platforms, Debian, nginx, redis and postgres. Made once, kept in a cache.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { busyboxTree } from './archives.ts';
import { cacheDirectory } from './cache.ts';
import { bootstrap, installedLayer, treeTar } from './debian-layers.ts';
import { createLayout, type Layout, otherArchitecture } from './oci-layout.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from './registry.ts';

const tools = ['/usr/sbin/debootstrap', '/usr/bin/getfattr', '/usr/bin/zstd', '/usr/bin/unshare', '/usr/bin/apt-get'];

/** Empty where the images can be made here. */
export function whyNoServerImages(): string {
  const missing = tools.find((path) => !existsSync(path));
  if (missing !== undefined) console.log(`Real images are not tested: ${missing} is not installed`);
  return missing ?? whyNoRegistry();
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const POSTGRES = 'PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin';

const POSTGRES_ENTRYPOINT = `#!/bin/sh
set -eu
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  initdb -D "$PGDATA" --auth=trust --no-sync >/dev/null
  echo "host all all all trust" >> "$PGDATA/pg_hba.conf"
fi
exec "$@"
`;

async function makeImages(work: string): Promise<Layout> {
  const layout = createLayout(join(work, 'layout'));
  const box = busyboxTree();
  const boxLayer = await layout.addLayer(await treeTar(box, join(work, 'busybox.tar')), 'gzip');
  rmSync(box, { recursive: true });
  const boxConfig = (where: string) => ({ Cmd: ['sh'], Env: ['PATH=/bin', `WHERE=${where}`] });
  layout.addImage(
    'busybox',
    { architecture: otherArchitecture, config: boxConfig('elsewhere'), layers: [boxLayer] },
    { config: boxConfig('here'), layers: [boxLayer] },
  );

  const tree = join(work, 'debian');
  await bootstrap(tree);
  const debian = await layout.addLayer(await treeTar(tree, join(work, 'debian.tar')), 'gzip');
  layout.addImage('debian', { config: { Cmd: ['bash'], Env: [PATH] }, layers: [debian] });

  const nginx = await installedLayer(tree, work, 'nginx', {
    packages: 'nginx',
    // One whiteout, one opaque directory, and logs on what the container has as its output.
    finish:
      'rm /etc/issue; rm -r /usr/share/doc; mkdir /usr/share/doc; echo anew > /usr/share/doc/new; ln -sf /dev/stdout /var/log/nginx/access.log; ln -sf /dev/stderr /var/log/nginx/error.log',
  });
  layout.addImage('nginx', {
    config: { Cmd: ['nginx', '-g', 'daemon off;'], Env: [PATH], ExposedPorts: { '80/tcp': {} }, StopSignal: 'SIGQUIT' },
    layers: [debian, await layout.addLayer(nginx, 'gzip')],
  });

  const redis = await installedLayer(tree, work, 'redis', {
    packages: 'redis-server',
    finish: 'install -d -o redis -g redis -m 0750 /data',
  });
  layout.addImage('redis', {
    config: {
      Entrypoint: ['redis-server'],
      Cmd: ['--bind', '0.0.0.0', '--protected-mode', 'no', '--appendonly', 'yes', '--dir', '/data'],
      Env: [PATH],
      User: 'redis',
      WorkingDir: '/data',
      Volumes: { '/data': {} },
      ExposedPorts: { '6379/tcp': {} },
    },
    layers: [debian, await layout.addLayer(redis, 'zstd')],
  });

  const postgres = await installedLayer(tree, work, 'postgres', {
    packages: 'postgresql-15',
    prepare:
      'mkdir -p /etc/postgresql-common; echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf',
    finish: `install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data; cat > /usr/local/bin/entrypoint <<'END'\n${POSTGRES_ENTRYPOINT}END\nchmod 755 /usr/local/bin/entrypoint`,
  });
  layout.addImage('postgres', {
    config: {
      Entrypoint: ['entrypoint'],
      Cmd: ['postgres', '-c', 'listen_addresses=*'],
      Env: [POSTGRES, 'PGDATA=/var/lib/postgresql/data'],
      User: 'postgres',
      Volumes: { '/var/lib/postgresql/data': {} },
      ExposedPorts: { '5432/tcp': {} },
      StopSignal: 'SIGINT',
    },
    layers: [debian, await layout.addLayer(postgres, 'zstd')],
  });
  return layout;
}

export const serverImages = ['busybox', 'debian', 'nginx', 'redis', 'postgres'];

/** Whatever an image is made of is in these files: another text, other images. */
function cacheKey(): string {
  const hash = createHash('sha256').update(process.arch);
  for (const file of ['server-images.ts', 'debian-layers.ts', 'oci-layout.ts', 'archives.ts'])
    hash.update(readFileSync(join(import.meta.dirname, file)));
  return hash.digest('hex').slice(0, 16);
}

/** The registry with the images, named "HOST/NAME". Nothing can be pushed to it. */
export async function startServerRegistry(): Promise<TestRegistry> {
  const storage = cacheDirectory('images', cacheKey());
  if (existsSync(storage)) utimesSync(storage, new Date(), new Date());
  else await fill(storage);
  return startRegistry({ storage, readonly: true });
}

async function fill(storage: string): Promise<void> {
  console.log(`Making the test images (once, about a minute) for ${storage}`);
  mkdirSync(join(storage, '..'), { recursive: true });
  // Beside the cache, not in /tmp: overlayfs takes no tmpfs of some kernels as its upper directory.
  const work = mkdtempSync(join(storage, '..', 'making-'));
  try {
    const layout = await makeImages(work);
    const made = join(work, 'registry');
    const registry = await startRegistry({ storage: made });
    try {
      for (const name of serverImages)
        await promisify(execFile)('skopeo', [
          'copy',
          '--insecure-policy',
          '--quiet',
          '--all',
          '--dest-tls-verify=false',
          `oci:${layout.directory}:${name}`,
          `docker://${registry.host}/${name}:latest`,
        ]);
    } finally {
      await registry.close();
    }
    // Another run may have been faster.
    if (!existsSync(storage)) renameSync(made, storage);
    removeOld(join(storage, '..'));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const KEPT_DAYS = 14;

/** Images of recipes that nobody has used for long. */
function removeOld(directory: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (Date.now() - statSync(path).mtimeMs > KEPT_DAYS * 86_400_000) rmSync(path, { recursive: true, force: true });
  }
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'gantry-servers-'));
}
