// A static C program for tests: tells ids and capabilities as the kernel gave them at exec, and can give a file a capability.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const source = `
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "setcap")) { // VFS_CAP_REVISION_2 with the effective bit, CAP_NET_RAW permitted
        uint32_t value[5] = {0x02000001, 1u << 13, 0, 0, 0};
        return setxattr(argv[2], "security.capability", value, sizeof value, 0) ? 1 : 0;
    }
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    printf("uid %d euid %d", getuid(), geteuid());
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "CapEff:", 7))
            printf(" caps %s", line + 8);
    return 0;
}
`;

/** Compiles the probe to this path. */
export function buildProbe(path: string): void {
  const work = mkdtempSync(join(tmpdir(), 'gantry-probe-'));
  writeFileSync(join(work, 'probe.c'), source);
  execFileSync('cc', ['-O1', '-static', '-o', path, join(work, 'probe.c')]);
  rmSync(work, { recursive: true });
}
