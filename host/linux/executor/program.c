// Validation: after it every operand of every op can be used without looking at its bounds again.
#include "executor.h"
#include <sys/syscall.h>

struct header {
    uint32_t magic;
    uint16_t version, architecture;
    uint32_t count, data_length;
    uint8_t reserved[ABI_HEADER_SIZE - 16];
};

// i number or register, s string (or number 0: NULL), b bytes whose length is the next operand, n that length,
// G as many u32 as the operand before says, 8/6/4/7 structs of 8, 16, 24, 56 bytes, j block length, x no more than this op.
static const char *const shapes[ABI_OP_END] = {
    [ABI_OP_OPENAT] = "isii", [ABI_OP_CLOSE] = "i", [ABI_OP_MKDIRAT] = "isi", [ABI_OP_RENAMEAT2] = "isisi",
    [ABI_OP_FCHOWNAT] = "isiii", [ABI_OP_MOUNT] = "sssis", [ABI_OP_UMOUNT2] = "si", [ABI_OP_OPEN_TREE] = "isi",
    [ABI_OP_MOVE_MOUNT] = "isisi", [ABI_OP_FSOPEN] = "si", [ABI_OP_FSCONFIG] = "iissi", [ABI_OP_FSMOUNT] = "iii",
    [ABI_OP_MOUNT_SETATTR] = "isibn", [ABI_OP_PIVOT_ROOT] = "ss", [ABI_OP_CHDIR] = "s", [ABI_OP_FCHDIR] = "i",
    [ABI_OP_SETNS] = "ii", [ABI_OP_UNSHARE] = "i", [ABI_OP_SETHOSTNAME] = "bn", [ABI_OP_SETDOMAINNAME] = "bn",
    [ABI_OP_PRLIMIT64] = "ii6i", [ABI_OP_PRCTL] = "iiiii", [ABI_OP_CAPSET] = "84", [ABI_OP_SETRESUID] = "iii",
    [ABI_OP_SETRESGID] = "iii", [ABI_OP_SETGROUPS] = "iG", [ABI_OP_UMASK] = "i", [ABI_OP_KEYCTL] = "isiii",
    [ABI_OP_PIDFD_OPEN] = "ii", [ABI_OP_LAUNCH] = "ji", [ABI_OP_PARK] = "", [ABI_OP_CLONE] = "jii",
    [ABI_OP_WAIT] = "", [ABI_OP_RELEASE] = "", [ABI_OP_WRITE_FILE] = "isbni", [ABI_OP_WRITE_PROC] = "sbn",
    [ABI_OP_PROC_PID_WRITE] = "isbn", [ABI_OP_ENSURE_DIR] = "isiii", [ABI_OP_ENSURE_FILE] = "isi",
    [ABI_OP_OPEN_IN_ROOT] = "isi", [ABI_OP_SYMLINK_IN_ROOT] = "iss", [ABI_OP_MKNOD_IN_ROOT] = "isiiii",
    [ABI_OP_SECCOMP] = "bni", [ABI_OP_EXECVE] = "sbnbn", [ABI_OP_NETLINK] = "ibn", [ABI_OP_PATCH32] = "pi",
    [ABI_OP_SEND_TERMINAL] = "i", [ABI_OP_OPEN_TERMINAL] = "isii", [ABI_OP_STDIO] = "i", [ABI_OP_BPF_DEVICE] = "ibn",
    [ABI_OP_REMOVE_CGROUP] = "s", [ABI_OP_CONTAINER_PIDFD] = "", [ABI_OP_SUPERVISE] = "ii",
    [ABI_OP_CONTROL_SOCKET] = "s", [ABI_OP_LOG] = "sii", [ABI_OP_EXIT_RECORD] = "s", [ABI_OP_OOM_EVENTS] = "s",
    [ABI_OP_REMOVE_TREE] = "is", [ABI_OP_MASK] = "isi", [ABI_OP_READ_ONLY_PATH] = "is", [ABI_OP_KILL_CGROUP] = "si",
    [ABI_OP_FREEZE] = "sii", [ABI_OP_COPY_UP] = "ii", [ABI_OP_SEAL] = "", [ABI_OP_USER_NAMESPACE] = "bnbn",
    [ABI_OP_OWN_STDIO] = "ii", [ABI_OP_CONTAINER_CGROUP] = "s", [ABI_OP_ARCHIVE] = "isssii",
    [ABI_OP_INODE_FLAGS] = "si", [ABI_OP_WRITE_LINES] = "isbn", [ABI_OP_RESOLVER] = "ssi",
    [ABI_OP_EMPTY_TREE] = "iss", [ABI_OP_MAKE_CGROUP] = "s", [ABI_OP_SWEEP_CGROUPS] = "s",
    [ABI_OP_WRITE_SYSCTL] = "isbn", [ABI_OP_LOG_BUFFER] = "i", [ABI_OP_LOOP_DEVICE] = "sibn",
    [ABI_OP_LOG_COMPRESS] = "",
    [ABI_OP_SETSID] = "", [ABI_OP_CHROOT] = "s", [ABI_OP_IOPRIO_SET] = "iii", [ABI_OP_SCHED_SETATTR] = "i7i",
    [ABI_OP_HOOK_STATE] = "bns", [ABI_OP_HOOK] = "sbnbni", [ABI_OP_AWAIT_START] = "", [ABI_OP_FIND_EXECUTABLE] = "sbn",
    [ABI_OP_ENSURE_LIKE] = "isi", [ABI_OP_SEND_LISTENER] = "i", [ABI_OP_HOME] = "i",
    [ABI_OP_FILL_CPUSET] = "s",
};

static bool within(const struct program *program, uint64_t offset, uint64_t length) {
    return offset <= program->data_length && length <= program->data_length - offset;
}

static bool string_at(const struct program *program, uint64_t offset) {
    return offset < program->data_length && memchr(program->data + offset, 0, program->data_length - offset);
}

static int kind_of(const struct op *op, int operand) { return (op->kinds >> (operand * 4)) & 15; }

static bool operand_fits(const struct program *program, const struct op *op, int i, char letter) {
    int kind = kind_of(op, i);
    uint64_t value = op->operand[i];
    switch (letter) {
    case 'i':
        return kind == ABI_KIND_IMMEDIATE || (kind == ABI_KIND_REGISTER && value < ABI_REGISTERS);
    case 's':
        if (kind == ABI_KIND_IMMEDIATE)
            return value == 0;
        return kind == ABI_KIND_DATA && string_at(program, value);
    case 'b':
        return kind == ABI_KIND_DATA && kind_of(op, i + 1) == ABI_KIND_IMMEDIATE &&
               within(program, value, op->operand[i + 1]);
    case 'n':
    case 'j':
        return kind == ABI_KIND_IMMEDIATE;
    case 'p':
        return kind == ABI_KIND_IMMEDIATE && within(program, value, 4);
    case 'G':
        return kind == ABI_KIND_DATA && op->operand[i - 1] <= 65536 && within(program, value, op->operand[i - 1] * 4);
    case '8':
        return kind == ABI_KIND_DATA && within(program, value, 8);
    case '6':
        return kind == ABI_KIND_DATA && within(program, value, 16);
    case '7':
        return kind == ABI_KIND_DATA && within(program, value, 56);
    case '4':
        return kind == ABI_KIND_DATA && within(program, value, 24);
    }
    return false;
}

static bool op_fits(const struct program *program, const struct op *op) {
    const char *shape = op->code < ABI_OP_END ? shapes[op->code] : NULL;
    if (!shape || (op->destination >= ABI_REGISTERS && op->destination != ABI_REGISTER_NONE))
        return false;
    int count = (int)strlen(shape);
    for (int i = 0; i < ABI_OP_ARGS; i++) {
        if (i >= count) {
            if (kind_of(op, i) != ABI_KIND_NONE)
                return false;
        } else if (!operand_fits(program, op, i, shape[i]))
            return false;
    }
    if (op->note && !string_at(program, op->note))
        return false;
    return op->policy <= ABI_POLICY_SKIP;
}

// Blocks lie wholly in their parent: launch at the top, clone and park in a launch, nothing of the kind in a clone.
static bool blocks_fit(const struct program *program, uint32_t *bad_op) {
    uint32_t launch_end = 0, clone_end = 0;
    for (uint32_t i = 0; i < program->count; i++) {
        const struct op *op = &program->ops[i];
        uint32_t end = i < clone_end ? clone_end : i < launch_end ? launch_end : program->count;
        bool in_launch = i < launch_end && i >= clone_end, in_clone = i < clone_end;
        *bad_op = i;
        if (op->skip > end - i - 1)
            return false;
        if (op->code == ABI_OP_LAUNCH || op->code == ABI_OP_CLONE) {
            if (op->operand[0] > end - i - 1 || (op->code == ABI_OP_LAUNCH ? i < launch_end : !in_launch))
                return false;
            uint32_t block_end = i + 1 + (uint32_t)op->operand[0];
            if (op->code == ABI_OP_LAUNCH)
                launch_end = block_end;
            else
                clone_end = block_end;
        }
        if ((op->code == ABI_OP_PARK || op->code == ABI_OP_USER_NAMESPACE || op->code == ABI_OP_OWN_STDIO) && !in_launch)
            return false;
        if (op->code == ABI_OP_RESOLVER && (in_launch || in_clone))
            return false;
        if (op->code == ABI_OP_WAIT && !in_clone && (in_launch || launch_end == 0))
            return false;
        if ((op->code == ABI_OP_EXECVE || op->code == ABI_OP_STDIO || op->code == ABI_OP_OPEN_TERMINAL ||
             op->code == ABI_OP_SEAL || op->code == ABI_OP_ARCHIVE || op->code == ABI_OP_AWAIT_START ||
             op->code == ABI_OP_SEND_LISTENER || op->code == ABI_OP_HOME) && !in_clone)
            return false;
    }
    return true;
}

// Checks a program in place. Returns 0, or EINVAL with the first bad op (0 for a bad header).
int program_load(struct program *program, uint8_t *bytes, size_t length, uint32_t *bad_op) {
    const struct header *header = (const struct header *)bytes;
#if defined(__x86_64__)
    const uint16_t architecture = ABI_ARCH_X86_64;
#else
    const uint16_t architecture = ABI_ARCH_AARCH64;
#endif
    *bad_op = 0;
    if (length < ABI_HEADER_SIZE || length > ABI_PROGRAM_MAX || header->magic != ABI_PLAN_MAGIC ||
        header->version != ABI_PLAN_VERSION || header->architecture != architecture)
        return EINVAL;
    if ((uint64_t)ABI_HEADER_SIZE + (uint64_t)header->count * ABI_OP_SIZE + header->data_length != length)
        return EINVAL;
    program->ops = (struct op *)(bytes + ABI_HEADER_SIZE);
    program->count = header->count;
    program->data = (char *)(program->ops + header->count);
    program->data_length = header->data_length;
    for (uint32_t i = 0; i < program->count; i++) {
        *bad_op = i;
        if (!op_fits(program, &program->ops[i]))
            return EINVAL;
    }
    return blocks_fit(program, bad_op) ? 0 : EINVAL;
}
