// In a container: makes the system calls that a test names, and prints the errno of each ("0" where it succeeded).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// i386's entry, open to 64-bit programs too; the numbers are that architecture's.
static long int80(long number) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0), "c"(-3), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    errno = result < 0 ? (int)-result : 0;
    return result < 0 ? -1 : result;
#else
    fprintf(stderr, "probe: no call %ld of i386 here\n", number);
    exit(2);
#endif
}

static long call(const char *name) {
    if (!strcmp(name, "i386-getpid"))
        return int80(20);
    if (!strcmp(name, "i386-keyctl"))
        return int80(288);
    if (!strcmp(name, "i386-unknown"))
        return int80(9999);
    if (!strcmp(name, "keyctl"))
        return syscall(SYS_keyctl, 0, -3, 0); // KEYCTL_GET_KEYRING_ID of the session keyring.
    if (!strcmp(name, "clone3"))
        return syscall(SYS_clone3, NULL, 0);
    if (!strcmp(name, "unshare-user"))
        return unshare(CLONE_NEWUSER);
    if (!strcmp(name, "vsock"))
        return socket(40, SOCK_STREAM, 0);
    if (!strcmp(name, "personality"))
        return syscall(SYS_personality, 0x0100000); // ADDR_COMPAT_LAYOUT and the like are not among the allowed values.
    if (!strcmp(name, "unknown"))
        return syscall(9999);
    if (!strcmp(name, "getpid"))
        return syscall(SYS_getpid) < 0;
    fprintf(stderr, "probe: no such call: %s\n", name);
    exit(2);
}

// Touches pages of 2 MiB one by one; what the cgroup forbids ends it by SIGBUS.
static int use_huge_pages(int count) {
    const size_t size = 2 << 20;
    for (int i = 1; i <= count; i++) {
        char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
        if (page == MAP_FAILED)
            return 1;
        *page = 1;
        printf("page %d\n", i);
        fflush(stdout);
    }
    return 0;
}

// Touches memory until it is killed or has it all.
static int use_memory(size_t bytes) {
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; memory != MAP_FAILED && at < bytes; at += 4096)
        memory[at] = 1;
    puts("used");
    return memory == MAP_FAILED;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "huge-pages"))
        return use_huge_pages(atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "memory"))
        return use_memory((size_t)atol(argv[2]));
    for (int i = 1; i < argc; i++) {
        errno = 0;
        printf("%s %d\n", argv[i], call(argv[i]) < 0 ? errno : 0);
    }
    return 0;
}
