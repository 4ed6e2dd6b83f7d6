// One entry of the archive, as its header, its long names and its attributes together describe it.

export class Entry {
  /** '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' directory, '6' FIFO, 'S' a sparse file of old GNU tar. */
  type: u32 = 0;
  name: usize = 0;
  nameLength: i32 = 0;
  link: usize = 0;
  linkLength: i32 = 0;
  mode: u32 = 0;
  uid: u32 = 0;
  gid: u32 = 0;
  /** Bytes of content in the archive. */
  stored: u64 = 0;
  /** Bytes of the file, which has holes where they are more. */
  size: u64 = 0;
  mtime: i64 = 0;
  mtimeNsec: u32 = 0;
  major: u64 = 0;
  minor: u64 = 0;
}

export const entry = new Entry();

/** What a directory has that no entry describes, and a whiteout. */
export function clearAttributes(mode: u32): void {
  entry.mode = mode;
  entry.uid = 0;
  entry.gid = 0;
  entry.mtime = 0;
  entry.mtimeNsec = 0;
}
