// Debian's packages of any architecture, downloaded by apt with lists and state of its own; nothing is installed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Architecture = 'x86_64' | 'aarch64';

export const debianNames: Record<Architecture, string> = { x86_64: 'amd64', aarch64: 'arm64' };

export interface PackageVersion {
  name: string;
  version: string;
  /** Of the .deb, hex. */
  sha256: string;
}

export interface Packages {
  /** Name of the newest kernel's package, without the architecture: "linux-image-6.1.0-56". */
  newestKernel(): string;
  /** What apt would download now. Throws where it knows no such package. */
  candidate(name: string): PackageVersion;
  /** Downloads and unpacks; returns the directory. Throws where a hash differs. */
  unpack(wanted: (string | PackageVersion)[]): string;
  close(): void;
}

/** Asks the mirrors at once. @param parent where the working directory is made. Throws where this machine has no apt, no root or no mirror. */
export function openPackages(architecture: Architecture, parent: string): Packages {
  const debianName = debianNames[architecture];
  mkdirSync(parent, { recursive: true });
  const work = mkdtempSync(join(parent, 'packages-'));
  for (const directory of ['lists/partial', 'cache/archives/partial'])
    mkdirSync(join(work, directory), { recursive: true });
  writeFileSync(join(work, 'status'), '');
  const settings = [
    `APT::Architecture "${debianName}";`,
    `APT::Architectures { "${debianName}"; };`,
    `Dir::State "${work}";`,
    `Dir::State::lists "${work}/lists";`,
    `Dir::State::status "${work}/status";`,
    `Dir::Cache "${work}/cache";`,
    'APT::Sandbox::User "root";',
  ];
  writeFileSync(join(work, 'apt.conf'), settings.join('\n'));
  const apt = (command: string, ...args: string[]): string =>
    execFileSync(command, args, {
      cwd: work,
      env: { ...process.env, APT_CONFIG: join(work, 'apt.conf'), LC_ALL: 'C' },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const close = (): void => rmSync(work, { recursive: true, force: true });
  try {
    apt('apt-get', '-qq', 'update');
  } catch (error) {
    close();
    throw error;
  }

  const candidate = (name: string): PackageVersion => {
    const [first = ''] = apt('apt-cache', 'show', name).split('\n\n');
    const field = (key: string): string => new RegExp(`^${key}: (.+)$`, 'm').exec(first)?.[1] ?? '';
    return { name, version: field('Version'), sha256: field('SHA256') };
  };

  return {
    newestKernel() {
      // The package of this name only depends on the newest kernel's.
      const found = /Depends: (\S+)/.exec(apt('apt-cache', 'depends', `linux-image-${debianName}`));
      if (found === null) throw new Error(`no package linux-image-${debianName} is known to apt`);
      return found[1]!.slice(0, -`-${debianName}`.length);
    },
    candidate,
    unpack(wanted) {
      const named = wanted.map((one) => (typeof one === 'string' ? candidate(one) : one));
      const target = mkdtempSync(join(work, 'unpacked-'));
      for (const { name, version, sha256 } of named) {
        apt('apt-get', '-qq', 'download', `${name}=${version}`);
        const file = readdirSync(work).find((entry) => entry.startsWith(`${name}_`) && entry.endsWith('.deb'));
        if (file === undefined) throw new Error(`apt downloaded no ${name}`);
        const found = createHash('sha256')
          .update(readFileSync(join(work, file)))
          .digest('hex');
        if (found !== sha256) throw new Error(`${file} has the hash ${found}, not ${sha256}`);
        execFileSync('dpkg-deb', ['-x', join(work, file), target]);
        rmSync(join(work, file));
      }
      return target;
    },
    close,
  };
}
