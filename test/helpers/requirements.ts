// What kernel tests need; a reason to skip is printed once.
import { existsSync } from 'node:fs';

/** Empty where containers can be run here. */
export function whyNoContainers(): string {
  const reason =
    process.getuid?.() !== 0
      ? 'root is needed'
      : !existsSync('/bin/busybox')
        ? 'busybox-static is not installed'
        : !existsSync('/sys/fs/cgroup')
          ? 'this host has no cgroups'
          : '';
  if (reason !== '') console.log(`Containers are not tested: ${reason}`);
  return reason;
}
