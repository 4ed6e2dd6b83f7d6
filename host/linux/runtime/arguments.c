// The command line, in runc's words: what is not in the table is refused.
#include "runtime.h"

struct arguments arguments;

struct option {
    const char *name;
    char short_name;
    bool has_value;
};
struct command {
    const char *name;
    int least, most; // Arguments.
    struct option options[24];
};

static const struct option global[] = {
    {"root", 0, true}, {"log", 0, true}, {"log-format", 0, true}, {"debug", 0, false},
    {"systemd-cgroup", 0, false}, {"rootless", 0, true}, {"help", 'h', false}, {"version", 'v', false}, {0}};

#define MANY 1000000
#define FOR_CREATE \
    {"bundle", 'b', true}, {"console-socket", 0, true}, {"pid-file", 0, true}, {"no-pivot", 0, false}, \
    {"no-new-keyring", 0, false}, {"preserve-fds", 0, true}

static const struct command commands[] = {
    {"create", 1, 1, {FOR_CREATE}},
    {"run", 1, 1, {FOR_CREATE, {"detach", 'd', false}, {"keep", 0, false}, {"no-subreaper", 0, false}}},
    {"start", 1, 1, {{0}}},
    {"state", 1, 1, {{0}}},
    {"kill", 1, 2, {{"all", 'a', false}}},
    {"delete", 1, 1, {{"force", 'f', false}}},
    {"exec", 1, MANY, {{"console-socket", 0, true}, {"cwd", 0, true}, {"env", 'e', true}, {"tty", 't', false},
        {"user", 'u', true}, {"additional-gids", 'g', true}, {"process", 'p', true}, {"detach", 'd', false},
        {"pid-file", 0, true}, {"apparmor", 0, true}, {"no-new-privs", 0, false}, {"cap", 'c', true},
        {"preserve-fds", 0, true}, {"ignore-paused", 0, false}}},
    {"list", 0, 0, {{"format", 'f', true}, {"quiet", 'q', false}}},
    {"ps", 1, MANY, {{"format", 'f', true}}},
    {"pause", 1, 1, {{0}}},
    {"resume", 1, 1, {{0}}},
    {"update", 1, 1, {{"resources", 'r', true}, {"blkio-weight", 0, true}, {"cpu-period", 0, true}, {"cpu-quota", 0, true},
        {"cpu-share", 0, true}, {"cpu-rt-period", 0, true}, {"cpu-rt-runtime", 0, true}, {"cpuset-cpus", 0, true},
        {"cpuset-mems", 0, true}, {"memory", 0, true}, {"memory-reservation", 0, true}, {"memory-swap", 0, true},
        {"pids-limit", 0, true}}},
    {"events", 1, 1, {{"stats", 0, false}, {"interval", 0, true}}},
    {"features", 0, 0, {{0}}},
    {"spec", 0, 0, {{"bundle", 'b', true}, {"rootless", 0, false}}},
};

#define GIVEN 256
static struct { const char *name, *value; bool global; } given[GIVEN];
static int given_count;

const char *option(const char *name) {
    for (int i = given_count - 1; i >= 0; i--)
        if (!strcmp(given[i].name, name))
            return given[i].value;
    return NULL;
}

void each_option(void (*use)(const char *name, const char *value)) {
    for (int i = 0; i < given_count; i++)
        if (!given[i].global)
            use(given[i].name, given[i].value);
}

static const struct option *find_option(const struct option *table, const char *name, size_t length) {
    for (const struct option *known = table; known->name; known++)
        if ((strlen(known->name) == length && !strncmp(known->name, name, length)) ||
            (length == 1 && known->short_name == *name))
            return known;
    return NULL;
}

// Reads options up to the first word that is none, or "--". Returns its index.
static int read_options(const struct option *table, const char *where, char **argv, int at, int argc) {
    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        if (!strcmp(argv[at], "--"))
            return at + 1;
        const char *name = argv[at] + (argv[at][1] == '-' ? 2 : 1), *equals = strchr(name, '=');
        const struct option *known = find_option(table, name, equals ? (size_t)(equals - name) : strlen(name));
        if (!known) {
            hint = "The options are those of runc(8) that gantry-runtime carries out";
            fail("Cannot read \"%s\": no such option of %s", argv[at], where);
        }
        if (given_count == GIVEN)
            fail("Cannot read the command line: more than %d options", GIVEN);
        const char *value = equals ? equals + 1 : "";
        if (known->has_value && !equals && !(value = argv[++at]))
            fail("Cannot read \"--%s\": its value is missing", known->name);
        if (!known->has_value && equals && strcmp(value, "true")) {
            if (strcmp(value, "false"))
                fail("Cannot read \"--%s\": true or false, not \"%s\"", known->name, value);
            continue;
        }
        given[given_count].name = known->name;
        given[given_count].global = table == global;
        given[given_count++].value = known->has_value ? value : "";
    }
    return at;
}

static void usage(void) {
    printf("usage: gantry-runtime [--root DIRECTORY] [--log FILE] [--log-format text|json] COMMAND [OPTION…] [ID] [ARGUMENT…]\n\ncommands:");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        printf("\n  %s", commands[i].name);
        for (const struct option *known = commands[i].options; known->name; known++)
            printf(" [--%s%s]", known->name, known->has_value ? " VALUE" : "");
    }
    printf("\n");
    exit(0);
}

void read_arguments(int argc, char **argv) {
    int at = read_options(global, "gantry-runtime", argv, 1, argc);
    open_log();
    if (option("version")) {
        printf("gantry-runtime version 0.1.0\nspec: 1.2.1\n");
        exit(0);
    }
    if (option("help") || at >= argc || !strcmp(argv[at], "help"))
        usage();
    if (option("systemd-cgroup")) {
        hint = "Let the caller manage cgroups itself: cgroupfs (podman --cgroup-manager=cgroupfs, SystemdCgroup = false)";
        fail("Cannot use --systemd-cgroup: gantry-runtime does not ask systemd for cgroups");
    }
    const char *rootless = option("rootless");
    if (geteuid() != 0 || (rootless && !strcmp(rootless, "true"))) {
        hint = "Run it as root";
        fail("Cannot run without root: gantry-runtime does not do that yet");
    }
    const char *name = argv[at++];
    const struct command *found = NULL;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(commands[i].name, name))
            found = &commands[i];
    if (!found) {
        hint = "gantry-runtime --help lists the commands";
        fail("Cannot run \"%s\": %s", name, !strcmp(name, "checkpoint") || !strcmp(name, "restore")
            ? "gantry-runtime does not checkpoint processes" : "no such command");
    }
    at = read_options(found->options, found->name, argv, at, argc);
    arguments.command = found->name;
    arguments.rest = calloc((size_t)argc + 1, sizeof *argv);
    if (!arguments.rest)
        fail("Cannot read the command line: out of memory");
    for (; at < argc; at++) {
        // As with runc an option may stand behind the ID, but for commands that take more words.
        if (found->most < MANY)
            at = read_options(found->options, found->name, argv, at, argc);
        if (at < argc)
            arguments.rest[arguments.count++] = argv[at];
    }
    if (arguments.count < found->least || arguments.count > found->most) {
        hint = "gantry-runtime --help tells what each command takes";
        fail("Cannot run %s: %s", found->name, arguments.count < found->least ? "the container's ID is missing" : "too many arguments");
    }
}
