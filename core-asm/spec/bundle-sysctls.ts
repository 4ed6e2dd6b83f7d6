// linux.sysctl of a bundle: only what belongs to a namespace of the container's own.
import { Json } from '../json';
import { refuse } from '../status';
import { namespaceOf } from './namespaces';
import { isIpcSysctl } from './security';

export function checkBundleSysctls(spec: Json): void {
  const sysctls = spec.child('linux').child('sysctl');
  for (let i = 0; i < sysctls.keys.length; i++) {
    // Both spellings of sysctl(8).
    const name = sysctls.keys[i].split('/').join('.');
    if (name.indexOf('..') >= 0) refuse('SYSCTL_NOT_NAMESPACED', 'linux.sysctl', name);
    if (name.startsWith('net.')) {
      if (namespaceOf(spec, 'network') == null) refuse('SYSCTL_HOST_NETWORK', 'linux.sysctl', name);
    } else if (name.startsWith('fs.mqueue.') || isIpcSysctl(name)) {
      if (namespaceOf(spec, 'ipc') == null) refuse('SYSCTL_HOST_IPC', 'linux.sysctl', name);
    } else if (name == 'kernel.domainname' || name == 'kernel.hostname') {
      if (namespaceOf(spec, 'uts') == null) refuse('SYSCTL_NOT_NAMESPACED', 'linux.sysctl', name);
    } else refuse('SYSCTL_NOT_NAMESPACED', 'linux.sysctl', name);
  }
}
