// What went wrong: on stderr for people, and in the file of --log in the form that callers read (logrus' text or JSON).
#include "runtime.h"
#include <fcntl.h>
#include <stdarg.h>

const char *hint;
void (*before_failing)(void);
static int log_file = -1;
static bool json;

void open_log(void) {
    const char *format = option("log-format"), *path = option("log");
    if (format && strcmp(format, "json") && strcmp(format, "text"))
        fail("Cannot read --log-format \"%s\": text or json", format);
    json = format && !strcmp(format, "json");
    if (path && *path && (log_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) < 0)
        fail("Cannot write to the log \"%s\": %s", path, strerror(errno));
}

static void put_quoted(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at == '\n')
            fputs("\\n", out);
        else if (*at < 0x20)
            fprintf(out, "\\u%04x", *at);
        else
            fputc(*at, out);
    }
    fputc('"', out);
}

static void log_line(const char *level, const char *text) {
    if (log_file < 0)
        return;
    char stamp[32], *line;
    size_t length;
    time_t now = time(NULL);
    struct tm utc;
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    FILE *out = open_memstream(&line, &length);
    if (!out)
        return;
    fprintf(out, json ? "{\"level\":\"%s\",\"msg\":" : "level=%s msg=", level);
    put_quoted(out, text);
    fprintf(out, json ? ",\"time\":\"%s\"}\n" : " time=\"%s\"\n", stamp);
    fclose(out);
    if (write(log_file, line, length) < 0)
        perror("gantry-runtime: cannot write to the log");
    free(line);
}

static char *formatted(const char *format, va_list values) {
    char *text;
    return vasprintf(&text, format, values) < 0 ? strdup(format) : text;
}

void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    char *text = formatted(format, values);
    va_end(values);
    const char *told = hint;
    if (before_failing) {
        void (*clean_up)(void) = before_failing;
        before_failing = NULL;
        clean_up();
    }
    log_line("error", text);
    fprintf(stderr, "gantry-runtime: %s\n", text);
    if (told)
        fprintf(stderr, "Hint: %s\n", told);
    exit(1);
}

void warn(const char *format, ...) {
    va_list values;
    va_start(values, format);
    char *text = formatted(format, values);
    va_end(values);
    log_line("warning", text);
    // Callers such as conmon take whatever is on stderr for the failure, or the container's output.
    if (log_file < 0 && (isatty(2) || option("debug")))
        fprintf(stderr, "gantry-runtime: Warning: %s\n", text);
    free(text);
}

char *hook_said;

void say_of_hook(const char *text) {
    warn("A hook said: %s", text);
    if (asprintf(&hook_said, "It said: %.*s", (int)strcspn(text, "\n"), text) < 0)
        hook_said = NULL;
}
