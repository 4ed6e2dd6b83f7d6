// Finds QEMU on this host, and what version it is.
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { GantryError } from '../errors.ts';
import { type Architecture, qemuProgram } from './qemu-arguments.ts';

export interface Qemu {
  path: string;
  /** "7.2.22". */
  version: string;
}

/** Where installers put it without changing PATH. */
const places: Partial<Record<NodeJS.Platform, string[]>> = {
  darwin: ['/opt/homebrew/bin', '/usr/local/bin', '/opt/local/bin'],
  win32: ['C:\\Program Files\\qemu', 'C:\\msys64\\mingw64\\bin'],
  linux: ['/usr/bin', '/usr/libexec', '/usr/local/bin'],
};

const installs: Partial<Record<NodeJS.Platform, string>> = {
  darwin: 'Install it: brew install qemu',
  win32: 'Install it: winget install SoftwareFreedomConservancy.QEMU',
};

/** Free-page reporting is of 5.1; what is older than this is not tested anywhere. */
const OLDEST = [6, 2] as const;

/** @throws {GantryError} BACKEND_UNAVAILABLE where there is none, or one that is too old. */
export async function findQemu(
  architecture: Architecture,
  platform: NodeJS.Platform,
  path = process.env.PATH ?? '',
): Promise<Qemu> {
  const program = platform === 'win32' ? `${qemuProgram(architecture)}.exe` : qemuProgram(architecture);
  const directories = [...path.split(delimiter).filter(Boolean), ...(places[platform] ?? [])];
  const found = directories.map((directory) => join(directory, program)).find(isProgram);
  const hint =
    installs[platform] ??
    `Install QEMU: on Debian apt install qemu-system-${architecture === 'x86_64' ? 'x86' : 'arm'}`;
  if (found === undefined)
    throw new GantryError('BACKEND_UNAVAILABLE', `Cannot start the virtual machine: "${program}" is not in PATH`, {
      hint,
    });
  const version = await readVersion(found);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    throw new GantryError(
      'BACKEND_UNAVAILABLE',
      `Cannot start the virtual machine: "${found}" is QEMU ${version || '?'}`,
      {
        hint: `QEMU ${OLDEST.join('.')} is the oldest that works`,
      },
    );
  return { path: found, version };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function readVersion(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(path, ['--version'], { timeout: 20_000 }, (error, stdout) => {
      const [, version] = /version (\d+(?:\.\d+)*)/.exec(stdout ?? '') ?? [];
      if (version !== undefined) resolve(version);
      else
        reject(
          new GantryError(
            'BACKEND_UNAVAILABLE',
            `Cannot start the virtual machine: "${path}" does not tell its version`,
            {
              hint: 'Run it with --version, and install QEMU anew where that fails',
              cause: error,
            },
          ),
        );
    });
  });
}
