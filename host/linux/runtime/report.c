// What is told of containers, and the changes of their limits: state, list, ps, events, features, spec, update.
#include "runtime.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

static void print(const struct answer *answer) {
    const struct part *output = &answer->parts[ABI_RUNTIME_OUTPUT];
    if (output->bytes)
        fwrite(output->bytes, 1, output->length, stdout);
    if (fflush(stdout))
        fail("Cannot write: %s", strerror(errno));
}

void command_state(void) {
    struct container container;
    load_container(&container, arguments.rest[0], false);
    printf("%s\n", state_of(&container));
}

static char *all_states(bool quiet) {
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    DIR *root = opendir(root_directory());
    if (!out)
        fail("Cannot list the containers: out of memory");
    fputc('[', out);
    for (struct dirent *entry; root && (entry = readdir(root));) {
        struct container container;
        if (*entry->d_name == '.')
            continue;
        if (quiet) {
            printf("%s\n", entry->d_name);
            continue;
        }
        load_container(&container, entry->d_name, false);
        fprintf(out, "%s%s", ftell(out) > 1 ? "," : "", state_of(&container));
        close(container.directory);
    }
    fputc(']', out);
    fclose(out);
    if (root)
        closedir(root);
    return text;
}

void command_list(void) {
    const char *format = option("format");
    if (format && strcmp(format, "json") && strcmp(format, "table"))
        fail("Cannot read --format \"%s\": table or json", format);
    char *states = all_states(option("quiet"));
    if (option("quiet"))
        return;
    if (format && !strcmp(format, "json")) {
        printf("%s\n", states);
        return;
    }
    struct answer answer;
    ask("list", states, strlen(states), &answer);
    print(&answer);
}

void command_ps(void) {
    struct container container;
    struct answer answer;
    load_container(&container, arguments.rest[0], false);
    if (container.plan.parts[ABI_RUNTIME_CGROUP].bytes)
        add_word("cgroup", container.plan.parts[ABI_RUNTIME_CGROUP].bytes);
    if (option("format"))
        add_word("format", option("format"));
    for (int i = 1; i < arguments.count; i++)
        add_word("arg", arguments.rest[i]);
    ask("ps", "", 0, &answer);
    print(&answer);
}

static char *config_of(struct container *container, size_t *length) {
    char *config = read_whole(container->directory, "config.json", length);
    if (!config)
        fail("Cannot read the state of \"%s\": %s", container->id, strerror(errno));
    add_word("id", container->id);
    add_word("bundle", "/");
    return config;
}

static void give_flag(const char *name, const char *value) {
    size_t length;
    if (strcmp(name, "resources")) {
        add_word(name, value);
        return;
    }
    char *text = read_whole(AT_FDCWD, value, &length);
    if (!text)
        fail("Cannot read \"%s\": %s", value, strerror(errno));
    add_word(name, text);
    free(text);
}

void command_update(void) {
    struct container container;
    struct answer answer;
    size_t length;
    load_container(&container, arguments.rest[0], true);
    begin_runner();
    enum status status = status_of(&container);
    if (status == STOPPED)
        fail("Cannot update \"%s\": it is stopped", container.id);
    char *config = config_of(&container, &length);
    each_option(give_flag);
    ask("update", config, length, &answer);
    int error = run_part(&answer.parts[ABI_RUNTIME_SETUP], ABI_PHASE_SETUP);
    if (error)
        fail_part(&answer.parts[ABI_RUNTIME_SETUP], runner.failed_op, error, ABI_PHASE_SETUP);
    const struct part *changed = &answer.parts[ABI_RUNTIME_CONFIG];
    save_file(container.directory, "config.json", changed->bytes, changed->length);
}

void command_events(void) {
    struct container container;
    size_t length;
    const char *interval = option("interval");
    int seconds = interval ? atoi(interval) : 5;
    if (seconds <= 0)
        fail("Cannot read --interval \"%s\": seconds", interval);
    load_container(&container, arguments.rest[0], false);
    int process = (int)syscall(__NR_pidfd_open, container.pid, 0);
    if (status_of(&container) == STOPPED || process < 0)
        fail("Cannot tell of \"%s\": container not running", container.id);
    struct pollfd ended = {process, POLLIN, 0};
    do {
        struct answer answer;
        char *config = config_of(&container, &length);
        ask("events", config, length, &answer);
        print(&answer);
        free(config);
    } while (!option("stats") && poll(&ended, 1, seconds * 1000) == 0);
}

void command_features(void) {
    struct answer answer;
    ask("features", "", 0, &answer);
    print(&answer);
}

void command_spec(void) {
    struct answer answer;
    const char *bundle = option("bundle");
    char *path;
    if (asprintf(&path, "%s/config.json", bundle && *bundle ? bundle : ".") < 0)
        fail("Cannot write config.json: out of memory");
    if (option("rootless"))
        add_word("rootless", "");
    ask("spec", "", 0, &answer);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const struct part *config = &answer.parts[ABI_RUNTIME_CONFIG];
    if (fd < 0 || write(fd, config->bytes, config->length) != (ssize_t)config->length)
        fail("Cannot write \"%s\": %s", path, strerror(errno));
}
