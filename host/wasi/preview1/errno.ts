// Numbers of WASI preview 1's errno, and what the host's errors are among them.
export const errno = {
  success: 0,
  acces: 2,
  again: 6,
  badf: 8,
  exist: 20,
  fbig: 22,
  ilseq: 25,
  inval: 28,
  io: 29,
  isdir: 31,
  loop: 32,
  mfile: 33,
  nametoolong: 37,
  noent: 44,
  nospc: 51,
  notdir: 54,
  notempty: 55,
  notsock: 57,
  notsup: 58,
  perm: 63,
  pipe: 64,
  range: 68,
  rofs: 69,
  spipe: 70,
  notcapable: 76,
} as const;

/** What a call of a program fails with. */
export class WasiError extends Error {
  readonly number: number;
  constructor(name: keyof typeof errno) {
    super(name);
    this.number = errno[name];
  }
}

const ofHost: Record<string, number> = {
  EACCES: errno.acces,
  EAGAIN: errno.again,
  EBADF: errno.badf,
  EBUSY: 10,
  EDQUOT: 19,
  EEXIST: errno.exist,
  EFBIG: errno.fbig,
  EINVAL: errno.inval,
  EISDIR: errno.isdir,
  ELOOP: errno.loop,
  EMFILE: errno.mfile,
  EMLINK: 34,
  ENAMETOOLONG: errno.nametoolong,
  ENFILE: 41,
  ENOENT: errno.noent,
  ENOSPC: errno.nospc,
  ENOTDIR: errno.notdir,
  ENOTEMPTY: errno.notempty,
  ENOTSUP: errno.notsup,
  ENXIO: 60,
  EPERM: errno.perm,
  EROFS: errno.rofs,
  ETXTBSY: 74,
  EXDEV: 75,
  ERR_INVALID_ARG_VALUE: errno.ilseq, // A NUL in a path.
  ERR_OUT_OF_RANGE: errno.inval,
};

/** Of an error that was thrown. Throws on what is no error of a call: the program's end. */
export function errnoOf(error: unknown): number {
  if (error instanceof WasiError) return error.number;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (typeof code !== 'string') {
    // A pointer that leads out of the program's memory.
    if (error instanceof RangeError) return 21;
    throw error;
  }
  return ofHost[code] ?? errno.io;
}
