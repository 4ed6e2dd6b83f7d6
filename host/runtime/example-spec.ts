// What `spec` writes: a config.json to begin with, with docker's confinement.
import { systemPaths } from '../core/plans.ts';

const capabilities = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];

export function exampleSpec(rootless: boolean): object {
  const { masked, readOnly } = systemPaths();
  const mount = (destination: string, type: string, source: string, options: string): object => ({
    destination,
    type,
    source,
    options: options.split(','),
  });
  return {
    ociVersion: '1.2.1',
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'gantry',
    mounts: [
      mount('/proc', 'proc', 'proc', 'nosuid,noexec,nodev'),
      mount('/dev', 'tmpfs', 'tmpfs', 'nosuid,strictatime,mode=755,size=65536k'),
      mount(
        '/dev/pts',
        'devpts',
        'devpts',
        `nosuid,noexec,newinstance,ptmxmode=0666,mode=0620${rootless ? '' : ',gid=5'}`,
      ),
      mount('/dev/shm', 'tmpfs', 'shm', 'nosuid,noexec,nodev,mode=1777,size=65536k'),
      mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid,noexec,nodev'),
      mount('/sys', 'sysfs', 'sysfs', 'nosuid,noexec,nodev,ro'),
      mount('/sys/fs/cgroup', 'cgroup', 'cgroup', 'nosuid,noexec,nodev,relatime,ro'),
    ],
    linux: {
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
      maskedPaths: masked,
      readonlyPaths: readOnly,
    },
  };
}
