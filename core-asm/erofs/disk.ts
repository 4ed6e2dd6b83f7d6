// EROFS on the disk: Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h of Linux, as far as it is written here.
import { u8at } from './memory';

export const BLOCK: i32 = 4096;
export const BLOCK_BITS = 12;
/** Inodes lie at multiples of it, counted in node numbers from the start of the metadata area. */
export const SLOT = 32;
export const SUPERBLOCK_AT = 1024;
export const MAGIC: u32 = 0xe0f5e1e2;

export const COMPAT_CHECKSUM: u32 = 1;
export const COMPAT_MTIME: u32 = 2;
export const INCOMPAT_CHUNKED_FILE: u32 = 4;

/** 128 bytes. */
@unmanaged
export class Superblock {
  magic: u32;
  checksum: u32;
  featureCompat: u32;
  blockBits: u8;
  extensionSlots: u8;
  rootNid: u16;
  inodes: u64;
  buildTime: u64;
  buildTimeNsec: u32;
  blocks: u32;
  metadataBlock: u32;
  xattrBlock: u32;
  uuidLow: u64;
  uuidHigh: u64;
  volumeLow: u64;
  volumeHigh: u64;
  featureIncompat: u32;
}

/** The extended form: 64 bytes. The compact one has no time of its own. */
export const INODE = 64;
const EXTENDED: u16 = 1;
export const FLAT_PLAIN: u16 = EXTENDED;
export const FLAT_INLINE: u16 = EXTENDED | <u16>(2 << 1);
export const CHUNK_BASED: u16 = EXTENDED | <u16>(4 << 1);

@unmanaged
export class Inode {
  format: u16;
  xattrCount: u16;
  mode: u16;
  reserved: u16;
  size: u64;
  /** First block, device number, or the size of chunks. */
  unit: u32;
  ino: u32;
  uid: u32;
  gid: u32;
  mtime: i64;
  mtimeNsec: u32;
  links: u32;
}

/** Offset of `links`, which is written once more where hard links are found later. */
export const INODE_LINKS = 44;

export const DIRENT = 12;

@unmanaged
export class Dirent {
  nid: u64;
  nameOffset: u16;
  fileType: u8;
}

export const FT_REGULAR: u8 = 1;
export const FT_DIRECTORY: u8 = 2;
export const FT_CHARACTER: u8 = 3;
export const FT_BLOCK: u8 = 4;
export const FT_FIFO: u8 = 5;
export const FT_SYMLINK: u8 = 7;

export const S_IFIFO: u32 = 0x1000;
export const S_IFCHR: u32 = 0x2000;
export const S_IFDIR: u32 = 0x4000;
export const S_IFBLK: u32 = 0x6000;
export const S_IFREG: u32 = 0x8000;
export const S_IFLNK: u32 = 0xa000;

/** What stands before an inode's attributes: a filter that is not used, and the number of shared ones. */
export const XATTR_HEADER = 12;
export const XATTR_ENTRY = 4;
export const XATTR_USER = 1;
export const XATTR_ACL_ACCESS = 2;
export const XATTR_ACL_DEFAULT = 3;
export const XATTR_TRUSTED = 4;
export const XATTR_SECURITY = 6;

/** Block address of a chunk that is a hole. */
export const HOLE: u32 = 0xffffffff;

/** crc32c (Castagnoli) without the final inversion, as EROFS has it. */
export function crc32c(at: usize, length: i32): u32 {
  let crc: u32 = 0xffffffff;
  for (let i = 0; i < length; i++) {
    crc ^= u8at(at + i);
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return crc;
}
