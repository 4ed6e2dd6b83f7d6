// What keeps a virtual machine from starting, as users are told of it, and that what they are told to do helps.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Installation } from '../helpers/cli.ts';
import { guestImage } from './guest-image.ts';
import { whyNoGuest } from './guest.ts';
import { architecture, inVirtualMachine } from './installation.ts';

/** ext4(5), struct ext4_super_block: its size, where its magic is, and that. */
const SUPERBLOCK = 1024;
const MAGIC_AT = 0x38;
const MAGIC = 0xef53;

/** The empty disk of the guest image without any superblock of its file system. */
function diskWithoutFileSystem(): Buffer {
  const disk = gunzipSync(readFileSync(join(guestImage(architecture), 'disk.qcow2.gz')));
  let found = 0;
  for (let at = 0; at + SUPERBLOCK <= disk.length; at += SUPERBLOCK)
    if (disk.readUInt16LE(at + MAGIC_AT) === MAGIC) {
      disk.fill(0, at, at + SUPERBLOCK);
      found++;
    }
  expect(found).toBeGreaterThan(0);
  return disk;
}

const log = (here: Installation): string => readFileSync(join(here.dataRoot, 'engine.log'), 'utf8');

describe.skipIf(whyNoGuest(architecture))('a virtual machine is refused', () => {
  it('where the files of its image are not what the manifest says', async () => {
    const image = mkdtempSync(join(tmpdir(), 'gantry-image-'));
    cpSync(guestImage(architecture), image, { recursive: true });
    const kernel = readFileSync(join(image, 'kernel.gz'));
    writeFileSync(join(image, 'kernel.gz'), kernel.subarray(0, kernel.length - 1));
    const here = inVirtualMachine(`GANTRY_VM_IMAGE=${image}`);
    try {
      expect(await here.gantry('run', '--rm', 'gantry/hello')).toMatchObject({
        status: 125,
        stderr: expect.stringMatching(
          /Cannot use the guest image: ".*kernel\.gz" is not what its manifest says\nHint: /,
        ),
      });
    } finally {
      await here.close();
      rmSync(image, { recursive: true });
    }
  });

  it('where its disk is damaged, until there is a new one', async () => {
    const here = inVirtualMachine();
    const disk = join(here.dataRoot, 'vm/data.qcow2');
    const hint = /\nHint: "gantry machine reset" makes a new one/;
    const fail = async (message: RegExp): Promise<void> => {
      const { status, stderr } = await here.gantry('run', '--rm', 'gantry/hello');
      expect([status, stderr]).toEqual([125, expect.stringMatching(message)]);
      expect(stderr).toMatch(hint);
    };
    try {
      mkdirSync(join(here.dataRoot, 'vm'), { mode: 0o700 });
      writeFileSync(disk, diskWithoutFileSystem());
      await fail(/Cannot mount the disk of the virtual machine: EINVAL/);
      writeFileSync(disk, 'no disk at all');
      await fail(/Cannot boot the virtual machine \(tcg\): .*not in qcow2 format/i);
      await here.ok('machine', 'reset', '--force');
      expect(await here.ok('run', '--rm', 'gantry/hello')).toContain('Hello from inside a container!');
    } finally {
      await here.close();
    }
  });

  it.each([
    ['for its image', 20, 125, /Cannot unpack the guest image into ".*"\nHint: Free space/],
    ['for its snapshot, without which it starts, too', 130, 0, /^$/],
  ])('where the disk has no room %s', async (_name, megabytes, expected, message) => {
    // In a mount namespace of the engine's, with which it goes.
    const place = '"$GANTRY_DATA_ROOT/vm"';
    const script = `mkdir -p ${place}; mount -t tmpfs -o size=${megabytes}m none ${place}; exec "$@"`;
    const here = inVirtualMachine('unshare', '-m', 'sh', '-c', script, 'sh');
    try {
      const { status, stderr } = await here.gantry('run', '--rm', 'gantry/hello');
      expect([status, stderr]).toEqual([expected, expect.stringMatching(message)]);
      if (expected === 0) expect(log(here)).toMatch(/The virtual machine starts without a snapshot: \S/);
    } finally {
      await here.close();
    }
  });
});
