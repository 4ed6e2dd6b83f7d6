// A scratch block device with ext4 on it: a loop device over a sparse file, mounted, all of it removed again.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface LoopDevice {
  /** "/dev/loop0". */
  path: string;
  major: number;
  minor: number;
  /** Where its file system is mounted. */
  mounted: string;
  close(): void;
}

/** @returns the device, or why there is none here. */
export function createLoopDevice(megabytes: number): LoopDevice | string {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-loop-'));
  const image = join(directory, 'image');
  const mounted = join(directory, 'mounted');
  writeFileSync(image, '');
  truncateSync(image, megabytes * 1024 ** 2);
  mkdirSync(mounted);
  const { status, stdout, stderr } = spawnSync('losetup', ['--find', '--show', image], { encoding: 'utf8' });
  if (status !== 0) {
    rmSync(directory, { recursive: true });
    return `no loop device can be made: ${stderr}`;
  }
  const path = stdout.trim();
  execFileSync('mkfs.ext4', ['-q', '-O', '^has_journal', path]);
  execFileSync('mount', [path, mounted]);
  const [major = 0, minor = 0] = execFileSync('stat', ['-c', '%Hr %Lr', path], { encoding: 'utf8' })
    .split(' ')
    .map(Number);
  return {
    path,
    major,
    minor,
    mounted,
    close() {
      execFileSync('umount', [mounted]);
      execFileSync('losetup', ['--detach', path]);
      rmSync(directory, { recursive: true });
    },
  };
}
