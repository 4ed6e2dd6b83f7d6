// Snapshots of a guest that has booted and done nothing yet: no disk mounted, no share, nothing of any container in its memory.
import { createHash, randomBytes } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { GantryError } from '../errors.ts';
import type { Qemu } from './find-qemu.ts';
import { type GuestSpec, qemuArguments } from './qemu-arguments.ts';
import type { Qmp } from './qmp.ts';

export interface Snapshot {
  directory: string;
  /** The guest's memory and devices as QEMU writes them. */
  state: string;
  bytes: number;
  checksum: number;
}

/** Changes when guests of earlier snapshots no longer fit. */
const FORMAT = 1;
const PREFIX = 'snapshot-';
const STATE = 'state';
const ABOUT = 'about.json';
const POLL_MS = 5;

/** Not by Windows' hypervisor, which cannot move a guest, nor where QEMU offers no control. */
export function canSnapshot({ accelerator, control }: GuestSpec): boolean {
  return accelerator !== 'whpx' && control !== undefined;
}

/** What a snapshot fits: this QEMU with these arguments on this host, and the guest's own files by their digest. */
export function snapshotKey(qemu: Qemu, spec: GuestSpec, facts: { image: string; host: string }): string {
  const { size, mtimeMs } = statSync(qemu.path);
  const anywhere: GuestSpec = {
    ...spec,
    kernel: '',
    initramfs: '',
    disk: '',
    console: '',
    port: { socket: '' },
    sharesPort: { socket: '' },
    control: '',
  };
  const parts = [FORMAT, qemu.path, qemu.version, size, mtimeMs, facts, qemuArguments(anywhere)];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** The one of this key, where it is whole as far as can be seen at a glance. */
export function findSnapshot(parent: string, key: string): Snapshot | undefined {
  const directory = join(parent, `${PREFIX}${key}`);
  const state = join(directory, STATE);
  try {
    const { bytes, checksum } = JSON.parse(readFileSync(join(directory, ABOUT), 'utf8')) as Omit<Snapshot, 'state'>;
    return { directory, state, bytes, checksum };
  } catch {
    return undefined;
  }
}

/** Resolves to what is wrong with the file; reads all of it. */
export async function damageOf({ state, bytes, checksum }: Snapshot): Promise<string | undefined> {
  try {
    const found = statSync(state).size;
    if (found !== bytes) return `it has ${found} bytes, not ${bytes}`;
    return (await checksumOf(state)) === checksum ? undefined : 'its content has changed';
  } catch (error) {
    return `it cannot be read: ${(error as NodeJS.ErrnoException).code}`;
  }
}

async function checksumOf(path: string): Promise<number> {
  let sum = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 ** 2 })) sum = crc32(chunk as Buffer, sum);
  return sum;
}

/**
 * Writes the memory of a guest that rests; the guest is stopped then. Other snapshots go.
 * @throws {GantryError} BACKEND_UNAVAILABLE, DISK_FULL; nothing is left then.
 */
export async function saveSnapshot(qmp: Qmp, parent: string, key: string): Promise<Snapshot> {
  const work = join(parent, `new-${randomBytes(6).toString('hex')}`);
  const state = join(work, STATE);
  mkdirSync(work, { mode: 0o700 });
  try {
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': 2 ** 50 });
    await qmp.execute('migrate', { uri: `exec:exec cat > ${shellQuoted(state)}` });
    await migrated(qmp);
    const about = { bytes: statSync(state).size, checksum: await checksumOf(state) };
    await writeFile(join(work, ABOUT), JSON.stringify(about), { mode: 0o600 });
    discardSnapshots(parent);
    const directory = join(parent, `${PREFIX}${key}`);
    renameSync(work, directory);
    return { directory, state: join(directory, STATE), ...about };
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    if (error instanceof GantryError) throw error;
    throw new GantryError('BACKEND_UNAVAILABLE', `Cannot save the virtual machine: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function migrated(qmp: Qmp): Promise<void> {
  for (;;) {
    const { status, 'error-desc': reason } = await qmp.execute<{ status: string; 'error-desc'?: string }>(
      'query-migrate',
    );
    if (status === 'completed') return;
    if (status === 'failed' || status === 'cancelled')
      throw new GantryError('BACKEND_UNAVAILABLE', `Cannot save the virtual machine: ${reason ?? status}`);
    await sleep(POLL_MS);
  }
}

/** All of them: a machine that was resumed holds no file of its snapshot. */
export function discardSnapshots(parent: string): void {
  for (const name of existsSync(parent) ? readdirSync(parent) : [])
    if (name.startsWith(PREFIX)) rmSync(join(parent, name), { recursive: true, force: true });
}

export function nameOf({ directory }: Snapshot): string {
  return basename(directory).slice(PREFIX.length);
}

/** For sh(1), which QEMU starts. */
function shellQuoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}
