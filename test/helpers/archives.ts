// Image archives made by the tests themselves: a tree of files → layer tar → docker-archive.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const applets =
  'sh ash cat echo env grep head id kill ls mkdir nc ps pwd rm sleep stat stty tail test touch true false ln mv mkfifo mknod wget wc httpd hostname df dd mount umount tty sort find ip seq yes nslookup ping chmod date';

const made: string[] = [];
process.once('exit', () => {
  for (const path of made) rmSync(path, { recursive: true, force: true });
});

/** A directory for as long as this process lives; whoever needs it less long removes it before. */
function temporary(prefix: string): string {
  const path = mkdtempSync(join(tmpdir(), prefix));
  made.push(path);
  return path;
}

/** Directory with a static busybox and a few files of /etc. */
export function busyboxTree(): string {
  const root = temporary('gantry-tree-');
  for (const name of ['bin', 'etc', 'tmp', 'root', 'home/user', 'var/www'])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  for (const name of applets.split(' ')) symlinkSync('busybox', join(root, 'bin', name));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:User:/home/user:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n');
  writeFileSync(join(root, 'var/www/index.html'), 'served\n');
  return root;
}

export interface ArchiveOptions {
  config?: object;
  /** Changes the layer's bytes, for damaged archives. */
  damage?: (layer: Buffer) => Buffer;
  /** Keeps owners and attributes of the tree's files; else all are root's. */
  owners?: boolean;
}

/** A docker-archive of one layer; returns the path of the tar. */
export function makeArchive(
  tree: string,
  tag: string,
  { config = {}, damage = (layer) => layer, owners = false }: ArchiveOptions = {},
): string {
  const work = mkdtempSync(join(tmpdir(), 'gantry-archive-'));
  const ownership = owners ? ['--xattrs', '--xattrs-include=*'] : ['--owner=0', '--group=0'];
  execFileSync('tar', ['--numeric-owner', ...ownership, '-cf', join(work, 'layer.tar'), '-C', tree, '.']);
  const layer = readFileSync(join(work, 'layer.tar'));
  const diffId = createHash('sha256').update(layer).digest('hex');
  writeFileSync(join(work, 'layer.tar'), damage(layer));
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const json = JSON.stringify({
    architecture,
    os: 'linux',
    created: '2026-01-02T03:04:05Z',
    config: { Cmd: ['sh'], Env: ['PATH=/bin'], ...config },
    rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
    history: [{ created: '2026-01-02T03:04:05Z', created_by: 'test' }],
  });
  writeFileSync(join(work, 'config.json'), json);
  writeFileSync(
    join(work, 'manifest.json'),
    JSON.stringify([{ Config: 'config.json', RepoTags: [tag], Layers: ['layer.tar'] }]),
  );
  const archive = join(temporary('gantry-archive-'), 'image.tar');
  execFileSync('tar', ['-cf', archive, '-C', work, 'config.json', 'layer.tar', 'manifest.json']);
  rmSync(work, { recursive: true });
  return archive;
}
