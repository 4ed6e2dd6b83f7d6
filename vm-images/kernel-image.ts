// The kernel inside a bzImage: QEMU starts it by its PVH note, which saves the guest the slow decompression.
import { execFileSync } from 'node:child_process';

/** Setup header of Documentation/x86/boot.rst; fields since protocol 2.08. */
const HEADER_MAGIC = 0x202;
const SETUP_SECTORS = 0x1f1;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;

const decompressors: [magic: number[], command: string[]][] = [
  [
    [0xfd, 0x37, 0x7a, 0x58, 0x5a],
    ['xz', '-dc'],
  ],
  [
    [0x1f, 0x8b],
    ['gzip', '-dc'],
  ],
  [
    [0x28, 0xb5, 0x2f, 0xfd],
    ['zstd', '-dcq'],
  ],
];

/** An ELF kernel where the image is a bzImage; other images (arm64's is not compressed) as they are. */
export function uncompressedKernel(image: Buffer): Buffer {
  if (image.toString('latin1', HEADER_MAGIC, HEADER_MAGIC + 4) !== 'HdrS') return image;
  const start = (image.readUInt8(SETUP_SECTORS) + 1) * 512 + image.readUInt32LE(PAYLOAD_OFFSET);
  // The last four bytes of the payload are the size of what is in it.
  const payload = image.subarray(start, start + image.readUInt32LE(PAYLOAD_LENGTH) - 4);
  const [, command] = decompressors.find(([magic]) => magic.every((byte, index) => payload[index] === byte)) ?? [];
  const [program, ...args] = command ?? [];
  if (program === undefined) throw new Error('the kernel is compressed in an unknown way');
  const kernel = execFileSync(program, args, { input: payload, maxBuffer: 2 ** 30 });
  if (kernel.toString('latin1', 0, 4) !== '\x7fELF') throw new Error('the kernel holds no ELF file');
  return kernel;
}
