// Every number shared by the core, the host and the C executor. Portable TypeScript and AssemblyScript; imports nothing.

/** Version of the program format; core, host and executor refuse any other. */
export const PLAN_VERSION = 1;
/** First four bytes of a program: "GPLN" little-endian. */
export const PLAN_MAGIC = 0x4e4c5047;
