// Confines a child that works on files which others made: few capabilities, few system calls, and where asked a root of its own.
#include "tar.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

static void refuse(const char *name) { tar_refuse(name, strerror(errno)); }

static const int allowed[] = {
    __NR_read, __NR_write, __NR_writev, __NR_close, __NR_openat, __NR_newfstatat, __NR_fstat, __NR_statx, __NR_lseek,
    __NR_mkdirat, __NR_mknodat, __NR_symlinkat, __NR_linkat, __NR_unlinkat, __NR_fchown, __NR_fchownat, __NR_fchmod,
    __NR_fchmodat, __NR_utimensat, __NR_setxattr, __NR_lsetxattr, __NR_fsetxattr, __NR_getdents64, __NR_brk, __NR_mmap,
    __NR_munmap, __NR_mremap, __NR_exit_group, __NR_rt_sigreturn, __NR_fcntl, __NR_openat2, __NR_fchdir, __NR_fstatfs,
    __NR_readlinkat, __NR_getxattr, __NR_fgetxattr, __NR_lgetxattr, __NR_flistxattr,
#ifdef __x86_64__
    __NR_open, __NR_stat, __NR_lstat, __NR_mkdir, __NR_mknod, __NR_symlink, __NR_link, __NR_unlink, __NR_rmdir, __NR_chown,
    __NR_lchown, __NR_chmod, __NR_readlink,
#endif
};

static void allow_few_calls(void) {
    enum { COUNT = sizeof allowed / sizeof *allowed };
    struct sock_filter filter[COUNT + 6];
    int at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
#ifdef __x86_64__
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
#else
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_AARCH64, 1, 0);
#endif
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], (uint8_t)(COUNT - i), 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)at, filter};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        refuse("seccomp");
}

static void drop_capabilities(void) {
    // CAP_SYS_ADMIN is what trusted.overlay.opaque asks for; the filter leaves it nothing else to do.
    // CAP_DAC_READ_SEARCH is in CAP_DAC_OVERRIDE.
    uint64_t kept = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID |
                    1ull << CAP_MKNOD | 1ull << CAP_SETFCAP | 1ull << CAP_SYS_ADMIN;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    for (int i = 0; i < 64; i++)
        if (!(kept & 1ull << i))
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    if (syscall(__NR_capget, &header, data))
        refuse("capget");
    for (int i = 0; i < 2; i++) {
        data[i].effective = data[i].permitted &= (uint32_t)(kept >> 32 * i);
        data[i].inheritable = 0;
    }
    if (syscall(__NR_capset, &header, data))
        refuse("capset");
}

// What both have: no core, no new privileges, no descriptor but 0-2.
static void give_up(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    syscall(__NR_close_range, 3, ~0u, 0);
    umask(0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        refuse("no_new_privs");
}

// From here on "/" is the directory: whatever a name or a link says, it stays inside.
void confine_to(const char *directory) {
    give_up();
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) && errno != EPERM)
        refuse("unshare");
    if (chdir(directory) || chroot(".") || chdir("/"))
        refuse(directory);
    drop_capabilities();
    allow_few_calls();
}

// The same where the root is the right one already. Closing the descriptors tells the supervisor that the work begins.
void confine_here(void) {
    give_up();
    if (chdir("/"))
        refuse("/");
    drop_capabilities();
    allow_few_calls();
}

// Files that the kernel makes up: their sizes say nothing, and some have no end.
bool made_up(int fd) {
    static const uint32_t kinds[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC,
                                     DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, BPF_FS_MAGIC, 0x19800202 /* mqueue */};
    struct statfs info;
    if (fstatfs(fd, &info))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((uint32_t)info.f_type == kinds[i])
            return true;
    return false;
}
