// Numbers that the writer of EROFS images shares with its host: what it asks for, and why it refuses.

/** Done: the image is whole and `position()` bytes long. */
export const ACTION_DONE = 0;
/** The next `length()` bytes of the tar stream go into the core's memory at `pointer()`. */
export const ACTION_READ = 1;
/** The next `length()` bytes of the tar stream go into the image at `position()`. */
export const ACTION_COPY = 2;
/** The next `length()` bytes of the tar stream are dropped. */
export const ACTION_SKIP = 3;
/** `length()` bytes of the core's memory at `pointer()` go into the image at `position()`. */
export const ACTION_WRITE = 4;
/** What is left of the tar stream is dropped. */
export const ACTION_DRAIN = 5;

/** Bytes of the core's memory that a layer's names and directories may take: about 900,000 entries. */
export const MEMORY_MAX = 48 << 20;

/** Why a layer is refused; host/core/erofs-refusals.ts has the sentences. */
export const REFUSED_CUT_SHORT = 1;
export const REFUSED_CHECKSUM = 2;
export const REFUSED_NUMBER_MALFORMED = 3;
export const REFUSED_NUMBER_TOO_LARGE = 4;
export const REFUSED_EXTRA_TOO_LONG = 5;
export const REFUSED_ATTRIBUTES_MALFORMED = 6;
export const REFUSED_ATTRIBUTE_NUMBER = 7;
export const REFUSED_NAME_TOO_LONG = 8;
export const REFUSED_PART_TOO_LONG = 9;
export const REFUSED_LEADS_NOWHERE = 10;
export const REFUSED_NOT_A_DIRECTORY = 11;
export const REFUSED_LINK_LOOP = 12;
export const REFUSED_LINK_MISSING = 13;
export const REFUSED_LINK_DIRECTORY = 14;
export const REFUSED_LINK_EMPTY = 15;
export const REFUSED_ROOT = 16;
export const REFUSED_WHITEOUT = 17;
export const REFUSED_TYPE = 18;
export const REFUSED_SPARSE = 19;
export const REFUSED_DEVICE = 20;
export const REFUSED_XATTR_TOO_LARGE = 21;
export const REFUSED_XATTR_VALUE = 22;
export const REFUSED_IMAGE_TOO_LARGE = 23;
export const REFUSED_TOO_MANY_ENTRIES = 24;
