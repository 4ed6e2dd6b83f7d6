// The guest's initial file system: a cpio archive in the "newc" format of Documentation/driver-api/early-userspace/buffer-format.rst.

/** A file (bytes), a directory (no content) or a symbolic link, by its path without a leading "/". */
export interface InitramfsEntry {
  path: string;
  file?: Uint8Array;
  link?: string;
}

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;
const LINK = 0o120777;

/** Directories that files lie in need no entry of their own. */
export function initramfs(entries: InitramfsEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  const add = (inode: number, { path, file, link }: InitramfsEntry): void => {
    const content = file ?? Buffer.from(link ?? '');
    const mode = file !== undefined ? PROGRAM : link !== undefined ? LINK : DIRECTORY;
    // magic, inode, mode, uid, gid, links, mtime, size, device ×2, rdev ×2, length of the name with its NUL, checksum.
    const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, Buffer.byteLength(path) + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${path}\0`;
    parts.push(padded(Buffer.from(header)), padded(content));
  };
  const known = new Set<string>();
  const addWithParents = (entry: InitramfsEntry): void => {
    const parent = entry.path.slice(0, Math.max(0, entry.path.lastIndexOf('/')));
    if (parent !== '' && !known.has(parent)) addWithParents({ path: parent });
    if (known.has(entry.path)) return;
    known.add(entry.path);
    add(known.size, entry);
  };
  entries.forEach(addWithParents);
  add(0, { path: 'TRAILER!!!', file: new Uint8Array(0) });
  return Buffer.concat(parts);
}

function padded(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
