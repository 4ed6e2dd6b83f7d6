// gantry/hello: prints what a container sees of itself, as one friendly page; with "hold" it holds the namespaces of a pod.
// Static, needs nothing but /proc and /sys.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static bool colours;

static const char *strong(void) { return colours ? "\033[1m" : ""; }
static const char *faint(void) { return colours ? "\033[2m" : ""; }
static const char *plain(void) { return colours ? "\033[0m" : ""; }

static void heading(const char *text) { printf("\n  %s%s%s\n", strong(), text, plain()); }
static void row(const char *name, const char *value) { printf("    %-14s %s\n", name, value); }

// First line of a file without its newline; false where it cannot be read.
static bool first_line(const char *path, char *text, size_t capacity) {
    FILE *file = fopen(path, "re");
    bool found = file && fgets(text, (int)capacity, file);
    if (file)
        fclose(file);
    if (found)
        text[strcspn(text, "\n")] = 0;
    return found;
}

// "Name:\tvalue" of /proc/self/status.
static bool status_value(const char *name, char *value, size_t capacity) {
    char line[512];
    FILE *file = fopen("/proc/self/status", "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':') {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, capacity, "%s", line + strlen(name) + 1 + strspn(line + strlen(name) + 1, "\t "));
            found = true;
        }
    if (file)
        fclose(file);
    return found;
}

static void show_process(void) {
    char host[256] = "", text[320], groups[64] = "";
    gethostname(host, sizeof host - 1);
    heading("Process");
    snprintf(text, sizeof text, "%d%s", getpid(), getpid() == 1 ? ", the first of its namespace" : "");
    row("PID", text);
    status_value("Groups", groups, sizeof groups);
    snprintf(text, sizeof text, "%u:%u%s", getuid(), getgid(), getuid() == 0 ? " (root in here)" : "");
    size_t length = strlen(text);
    unsigned inside, outside;
    char map[128];
    if (first_line("/proc/self/uid_map", map, sizeof map) && sscanf(map, "%u %u", &inside, &outside) == 2 && inside != outside)
        snprintf(text + length, sizeof text - length, ", id %u is %u on the host", inside, outside);
    row("user", text);
    row("hostname", host);
}

// Those that a machine boots with have fixed numbers below all that are made later (include/linux/proc_ns.h); for mnt and net
// only recent kernels.
#define FIRST_MADE_LATER 0xF0000000ul

static void show_namespaces(void) {
    static const char *const names[] = {"pid", "mnt", "net", "ipc", "uts", "user", "cgroup", "time"};
    char shared[96] = "";
    heading("Namespaces");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64], target[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        char *number = strchr(target, '[');
        char shown[64];
        snprintf(shown, sizeof shown, "%.*s", number ? (int)strcspn(number + 1, "]") : 1, number ? number + 1 : "-");
        if (number && strtoul(number + 1, NULL, 10) < FIRST_MADE_LATER)
            snprintf(shared + strlen(shared), sizeof shared - strlen(shared), " %s", names[i]);
        printf("    %-7s %s%s", names[i], shown, i % 4 == 3 ? "\n" : "");
    }
    if (*shared)
        printf("    %sthe machine's own:%s%s\n", faint(), shared, plain());
}

static void show_size(const char *name, const char *text) {
    char *end, shown[64];
    double value = strtod(text, &end);
    int unit = 0;
    if (end == text || value >= 9e18) {
        row(name, "no limit");
        return;
    }
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(shown, sizeof shown, "%.4g %s", value, (const char *[]){"bytes", "KiB", "MiB", "GiB", "TiB"}[unit]);
    row(name, shown);
}

static bool limit(const char *v2, const char *v1, char *text, size_t capacity) {
    char path[128];
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", v2);
    if (first_line(path, text, capacity))
        return true;
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", v1);
    return first_line(path, text, capacity);
}

static void show_limits(void) {
    char text[128], period[64];
    heading("Limits");
    if (limit("memory.max", "memory/memory.limit_in_bytes", text, sizeof text))
        show_size("memory", text);
    if (limit("pids.max", "pids/pids.max", text, sizeof text))
        row("processes", !strcmp(text, "max") ? "no limit" : text);
    if (limit("cpu.max", "cpu/cpu.cfs_quota_us", text, sizeof text)) {
        double quota = atof(text), share = 100000;
        char *space = strchr(text, ' ');
        if (space)
            share = atof(space + 1);
        else if (first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof period))
            share = atof(period);
        if (quota <= 0)
            snprintf(text, sizeof text, "no limit");
        else
            snprintf(text, sizeof text, "%.3g of a CPU's time", quota / share);
        row("CPU", text);
    }
    if (limit("cpuset.cpus.effective", "cpuset/cpuset.effective_cpus", text, sizeof text))
        row("CPUs to use", text);
}

static void show_mounts(void) {
    char line[4096], text[160];
    int count = 0;
    FILE *file = fopen("/proc/self/mounts", "re");
    heading("Files");
    while (file && fgets(line, sizeof line, file)) {
        char source[256], target[256], type[64], options[512];
        count++;
        if (sscanf(line, "%255s %255s %63s %511s", source, target, type, options) != 4)
            continue;
        bool writable = !strncmp(options, "rw", 2);
        if (!strcmp(target, "/")) {
            snprintf(text, sizeof text, "%s, %s", type, writable ? "writable" : "read-only");
            row("/", text);
        } else if (strncmp(target, "/proc", 5) && strncmp(target, "/sys", 4) && strncmp(target, "/dev", 4) && strncmp(target, "/etc/", 5)) {
            snprintf(text, sizeof text, "%s, %s", type, writable ? "writable" : "read-only");
            row(target, text);
        }
    }
    if (file)
        fclose(file);
    snprintf(text, sizeof text, "%d in all", count);
    row("mounts", text);
}

static const char *const capabilities[] = {
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
    "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
    "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
    "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
    "perfmon", "bpf", "checkpoint_restore"};

static void show_security(void) {
    char value[64] = "0", line[512] = "";
    enum { KNOWN = sizeof capabilities / sizeof *capabilities };
    heading("Security");
    status_value("CapEff", value, sizeof value);
    uint64_t mask = strtoull(value, NULL, 16);
    int count = 0, column = 0;
    for (int i = 0; i < KNOWN; i++)
        count += (mask >> i) & 1;
    snprintf(line, sizeof line, "%d of %d", count, KNOWN);
    row("capabilities", line);
    for (int i = 0; i < KNOWN; i++) {
        if (!((mask >> i) & 1))
            continue;
        if (column == 0 || column + (int)strlen(capabilities[i]) + 1 > 58) {
            printf("%s%18s%s", column ? "\n" : "", "", faint());
            column = 0;
        }
        column += printf(" %s", capabilities[i]);
    }
    if (column)
        printf("%s\n", plain());
    status_value("Seccomp", value, sizeof value);
    row("seccomp", *value == '2' ? "filter (mode 2)" : *value == '1' ? "strict (mode 1)" : "off (mode 0)");
    status_value("NoNewPrivs", value, sizeof value);
    row("no_new_privs", *value == '1' ? "on" : "off");
}

// One row an interface, addresses in the order of the kernel.
static void show_network(void) {
    struct ifaddrs *list = NULL;
    struct if_nameindex *interfaces = if_nameindex();
    heading("Network");
    if (!interfaces || getifaddrs(&list))
        return;
    for (struct if_nameindex *interface = interfaces; interface->if_index; interface++) {
        char text[512] = "";
        for (struct ifaddrs *at = list; at; at = at->ifa_next) {
            char address[INET6_ADDRSTRLEN];
            if (!at->ifa_addr || strcmp(at->ifa_name, interface->if_name))
                continue;
            int family = at->ifa_addr->sa_family;
            if (family != AF_INET && family != AF_INET6)
                continue;
            const void *bytes = family == AF_INET ? (void *)&((struct sockaddr_in *)at->ifa_addr)->sin_addr
                                                  : (void *)&((struct sockaddr_in6 *)at->ifa_addr)->sin6_addr;
            inet_ntop(family, bytes, address, sizeof address);
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? ", " : "", address);
        }
        row(interface->if_name, *text ? text : "no address");
    }
    freeifaddrs(list);
    if_freenameindex(interfaces);
}

// Waits to be stopped. As the first process of a PID namespace it reaps what the pod's containers leave. Signals that are blocked
// reach a namespace's first process without a handler, too (kernel/signal.c, sig_ignored).
static int hold(void) {
    sigset_t waited;
    int caught;
    sigemptyset(&waited);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGINT);
    sigaddset(&waited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &waited, NULL);
    while (sigwait(&waited, &caught) == 0 && caught == SIGCHLD)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    return 0;
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "hold"))
        return hold();
    colours = isatty(1) && !getenv("NO_COLOR");
    printf("\n  %sHello from inside a container!%s\n", strong(), plain());
    printf("  gantry planned every system call that made it, and then made them.\n");
    show_process();
    show_namespaces();
    show_limits();
    show_mounts();
    show_security();
    show_network();
    heading("Next");
    printf("    %-45s%s\n", "gantry plan gantry/hello", "every system call, before it runs");
    printf("    %-45s%s\n", "gantry run -m 64m --read-only gantry/hello", "see the limits change");
    printf("    %-45s%s\n\n", "gantry load -i FILE, gantry pull IMAGE", "bring an image of your own");
    return 0;
}
