// Debian as image layers: the base by debootstrap, servers as what apt-get changes on top, whiteouts in OCI's form.
import { execFile } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';

/** Not the synchronous kind: a test runner that hears nothing for a minute gives up. */
const execute = promisify(execFile);

const SUITE = 'bookworm';

/** Where this machine's own apt gets Debian from; debootstrap is to use the same. */
async function mirror(): Promise<string> {
  const { stdout } = await execute('apt-get', ['indextargets', '--format', '$(SITE) $(CODENAME) $(COMPONENT)']);
  const sites = stdout.split('\n');
  const own = sites
    .map((line) => line.split(' '))
    .find(([, codename, component]) => codename === SUITE && component === 'main');
  if (own?.[0] === undefined) throw new Error(`apt has no source of Debian ${SUITE}`);
  return own[0];
}

/** @param packages with what they depend on, beside those of the smallest Debian. */
export async function bootstrap(tree: string, packages: string[] = []): Promise<void> {
  const include = packages.length > 0 ? [`--include=${packages.join(',')}`] : [];
  await execute('debootstrap', ['--variant=minbase', ...include, SUITE, tree, await mirror()], { maxBuffer: 1 << 26 });
  await execute('chroot', [tree, 'apt-get', 'clean']);
}

/** In a mount namespace of its own, so that nothing stays mounted whatever happens. */
const INSTALL = `
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,redirect_dir=off,metacopy=off,index=off" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --bind /etc/resolv.conf "$ROOT/etc/resolv.conf"
printf '#!/bin/sh\\nexit 101\\n' > "$ROOT/usr/sbin/policy-rc.d"
chmod +x "$ROOT/usr/sbin/policy-rc.d"
chroot "$ROOT" sh -euc "$PREPARE"
chroot "$ROOT" apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-unsafe-io $PACKAGES >&2
chroot "$ROOT" sh -euc "$FINISH"
chroot "$ROOT" apt-get clean
rm "$ROOT/usr/sbin/policy-rc.d"
`;

export interface Recipe {
  packages: string;
  /** Shell lines before and after the installation, in the new root. */
  prepare?: string;
  finish?: string;
}

/** Installs packages on a tree; leaves the tree alone and makes a tar of the difference. */
export async function installedLayer(
  lower: string,
  work: string,
  name: string,
  { packages, prepare = '', finish = '' }: Recipe,
): Promise<string> {
  const at = (part: string): string => {
    const path = join(work, name, part);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const upper = at('upper');
  await execute('unshare', ['--mount', '--propagation', 'private', 'sh', '-euc', INSTALL], {
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      DEBIAN_FRONTEND: 'noninteractive',
      LOWER: lower,
      UPPER: upper,
      WORK: at('work'),
      ROOT: at('root'),
      PACKAGES: packages,
      PREPARE: prepare,
      FINISH: finish,
    },
    maxBuffer: 1 << 26,
  });
  return differenceTar(upper, at('whiteouts'), join(work, `${name}.tar`));
}

export async function treeTar(tree: string, tar: string): Promise<string> {
  await execute('tar', [
    '--numeric-owner',
    '--xattrs',
    '--xattrs-include=security.*',
    '--sort=name',
    '-cf',
    tar,
    '-C',
    tree,
    '.',
  ]);
  return tar;
}

/** overlayfs' upper directory → a layer (image-spec, layer.md): 0:0 devices become ".wh.NAME", opaque directories ".wh..wh..opq". */
async function differenceTar(upper: string, whiteouts: string, tar: string): Promise<string> {
  const gone: string[] = [];
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isCharacterDevice() && lstatSync(path).rdev === 0) gone.push(relative(upper, path));
    }
  };
  walk(upper);
  const { stdout } = await execute(
    'getfattr',
    ['-R', '-h', '--absolute-names', '-m', '^trusted.overlay.opaque$', upper],
    { maxBuffer: 1 << 26 },
  );
  const opaque = stdout
    .split('\n')
    .flatMap((line) => (line.startsWith('# file: ') ? [relative(upper, line.slice('# file: '.length))] : []));
  const marks = [
    ...gone.map((path) => join(path, '..', `.wh.${path.split('/').at(-1)}`)),
    ...opaque.map((path) => join(path, '.wh..wh..opq')),
  ];
  for (const mark of marks) {
    mkdirSync(join(whiteouts, mark, '..'), { recursive: true });
    writeFileSync(join(whiteouts, mark), '');
  }
  const excluded = `${tar}.excluded`;
  writeFileSync(excluded, gone.map((path) => `./${path}\n`).join(''));
  const options = [
    '--numeric-owner',
    '--xattrs',
    '--xattrs-include=security.*',
    '--sort=name',
    '--anchored',
    '--no-wildcards',
  ];
  await execute('tar', [...options, `--exclude-from=${excluded}`, '-cf', tar, '-C', upper, '.']);
  if (marks.length > 0)
    await execute('tar', [...options, '--owner=0', '--group=0', '-rf', tar, '-C', whiteouts, ...marks]);
  return tar;
}
