// Operands in the kernel's own words, for the plan's text: flags and constants by op and place, and the structs behind pointers.

type Names = [bigint, string][];

/** "A=1 B=0x2" → pairs. */
const names = (text: string, prefix = ''): Names =>
  text.split(' ').map((pair) => {
    const [name = '', value = ''] = pair.split('=');
    return [BigInt(value), `${prefix}${name}`];
  });

const open = names(
  'WRONLY=0x1 RDWR=0x2 CREAT=0x40 EXCL=0x80 NOCTTY=0x100 TRUNC=0x200 APPEND=0x400 NONBLOCK=0x800 DIRECTORY=0x10000 NOFOLLOW=0x20000 CLOEXEC=0x80000 PATH=0x200000',
  'O_',
);
/** As asm/fcntl.h of arm64 has it. */
const openOnArm64 = open.map(([bit, name]): [bigint, string] => [
  { O_DIRECTORY: 0x4000n, O_NOFOLLOW: 0x8000n }[name] ?? bit,
  name,
]);
const at = names('AT_SYMLINK_NOFOLLOW=0x100 AT_REMOVEDIR=0x200 AT_EMPTY_PATH=0x1000 AT_RECURSIVE=0x8000');
const tree = [...names('OPEN_TREE_CLONE=1 OPEN_TREE_CLOEXEC=0x80000'), ...at];
const move = names(
  'F_SYMLINKS=1 F_AUTOMOUNTS=2 F_EMPTY_PATH=4 T_SYMLINKS=0x10 T_AUTOMOUNTS=0x20 T_EMPTY_PATH=0x40',
  'MOVE_MOUNT_',
);
const attributes = names(
  'RDONLY=1 NOSUID=2 NODEV=4 NOEXEC=8 NOATIME=0x10 STRICTATIME=0x20 NODIRATIME=0x80 IDMAP=0x100000 NOSYMFOLLOW=0x200000',
  'MOUNT_ATTR_',
);
const mount = names(
  'RDONLY=1 NOSUID=2 NODEV=4 NOEXEC=8 REMOUNT=0x20 NOATIME=0x400 BIND=0x1000 REC=0x4000 UNBINDABLE=0x20000 PRIVATE=0x40000 SLAVE=0x80000 SHARED=0x100000',
  'MS_',
);
const config = names(
  'SET_FLAG=0 SET_STRING=1 SET_BINARY=2 SET_PATH=3 SET_FD=5 CMD_CREATE=6 CMD_RECONFIGURE=7',
  'FSCONFIG_',
);
const options = names(
  'PR_SET_PDEATHSIG=1 PR_SET_DUMPABLE=4 PR_SET_KEEPCAPS=8 PR_CAPBSET_DROP=24 PR_SET_SECUREBITS=28 PR_SET_CHILD_SUBREAPER=36 PR_SET_NO_NEW_PRIVS=38 PR_CAP_AMBIENT=47',
);
const limits = names(
  'CPU=0 FSIZE=1 DATA=2 STACK=3 CORE=4 RSS=5 NPROC=6 NOFILE=7 MEMLOCK=8 AS=9 LOCKS=10 SIGPENDING=11 MSGQUEUE=12 NICE=13 RTPRIO=14 RTTIME=15',
  'RLIMIT_',
);
const netlink = names('NETLINK_ROUTE=0 NETLINK_NETFILTER=12');

/** capabilities(7) in the order of their numbers. */
const capabilities: Names =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
    .split(' ')
    .map((name, number) => [BigInt(number), `CAP_${name}`]);

/** "A|B", with what has no name in hex. */
function flags(table: Names, value: bigint): string {
  let left = BigInt.asUintN(64, value);
  const found: string[] = [];
  for (const [bit, name] of table)
    if (bit !== 0n && (left & bit) === bit) {
      found.push(name);
      left &= ~bit;
    }
  if (left !== 0n || found.length === 0) found.push(left === 0n ? '0' : `0x${left.toString(16)}`);
  return found.join('|');
}

function constant(table: Names, value: bigint): string {
  return table.find(([known]) => known === value)?.[1] ?? value.toString();
}

const asFlags = (table: Names) => (value: bigint) => flags(table, value);
const asConstant = (table: Names) => (value: bigint) => constant(table, value);
const cloexec = (name: string) => asFlags([[1n, name]]);

/** Op → place of the operand → its text. */
const operands: Record<string, Record<number, (value: bigint) => string>> = {
  fchownat: { 4: asFlags(at) },
  fsconfig: { 1: asConstant(config) },
  fsmount: { 1: cloexec('FSMOUNT_CLOEXEC'), 2: asFlags(attributes) },
  fsopen: { 1: cloexec('FSOPEN_CLOEXEC') },
  loop_device: { 1: asFlags(names('READ_ONLY=1 AUTOCLEAR=4 DIRECT_IO=16', 'LO_FLAGS_')) },
  keyctl: { 0: asConstant(names('KEYCTL_JOIN_SESSION_KEYRING=1')) },
  mount: { 3: asFlags(mount) },
  mount_setattr: { 2: asFlags(at) },
  move_mount: { 4: asFlags(move) },
  netlink: { 0: asConstant(netlink) },
  open_tree: { 2: asFlags(tree) },
  prctl: { 0: asConstant(options) },
  prlimit64: { 1: asConstant(limits) },
  umount2: { 1: asFlags(names('MNT_FORCE=1 MNT_DETACH=2 MNT_EXPIRE=4 UMOUNT_NOFOLLOW=8')) },
  unlinkat: { 2: asFlags(at) },
};

/** Undefined where the number has no name. @param first the op's first operand, where it is a number. @param arm64 whose O_ flags differ. */
export function numberName(
  op: string,
  place: number,
  value: bigint,
  first: bigint | undefined,
  arm64: boolean,
): string | undefined {
  if (op === 'prctl' && place === 1 && first === 24n) return constant(capabilities, value);
  if ((op === 'openat' || op === 'open_in_root') && place === 2) return flags(arm64 ? openOnArm64 : open, value);
  return operands[op]?.[place]?.(value);
}

/** What a pointer of an op points at; undefined where nobody has described it. */
export function structText(
  op: string,
  place: number,
  bytes: Uint8Array,
  first: bigint | undefined,
): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (index: number): bigint => BigInt(view.getUint32(index * 4, true));
  const long = (index: number): bigint => view.getBigUint64(index * 8, true);
  if (op === 'mount_setattr' && place === 3)
    return `{attr_set=${flags(attributes, long(0))}, attr_clr=${flags(attributes, long(1))}, propagation=${flags(mount, long(2))}}`;
  if (op === 'capset' && place === 0 && word(0) === 0x20080522n) return '_LINUX_CAPABILITY_VERSION_3';
  if (op === 'capset' && place === 1) return capabilitySets([0, 1, 2].map((set) => word(set) | (word(set + 3) << 32n)));
  if (op === 'setgroups' && first !== undefined && first <= 8n)
    return `[${Array.from({ length: Number(first) }, (_, index) => word(index)).join(', ')}]`;
  if (op === 'prlimit64' && place === 2) return `{${limit(long(0))}, ${limit(long(1))}}`;
  return undefined;
}

function limit(value: bigint): string {
  return value === 0xffffffffffffffffn ? 'RLIM64_INFINITY' : value.toString();
}

/** effective, permitted, inheritable; those that are equal are written once. */
function capabilitySets(masks: bigint[]): string {
  const table = capabilities.map(([number, name]): [bigint, string] => [1n << number, name]);
  const sets = ['effective', 'permitted', 'inheritable'];
  const texts = [...new Set(masks)].map((mask) =>
    [...sets.filter((_set, index) => masks[index] === mask), flags(table, mask)].join('='),
  );
  return `{${texts.join(', ')}}`;
}
