// Mount options in mount(8)'s words → mount attributes, propagation, and what is left for the file system.
import {
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
} from '../kernel';

export class MountOptions {
  attributes: i64 = 0;
  /** Attributes hold for the whole tree below (rro, …). */
  recursiveAttributes: bool = false;
  bind: bool = false;
  recursive: bool = false;
  /** The device is a file. */
  loop: bool = false;
  /** The ids on disk are those of the container. */
  idmap: bool = false;
  recursiveIdmap: bool = false;
  /** A file system that is new begins with what lies under it (OCI: tmpcopyup). */
  copyUp: bool = false;
  /** MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0. */
  propagation: i64 = 0;
  recursivePropagation: bool = false;
  /** "name" or "name=value" for fsconfig(2). */
  data: string[] = [];

  constructor(options: string[]) {
    for (let i = 0; i < options.length; i++) if (options[i].length > 0) this.add(options[i]);
  }

  private add(option: string): void {
    if (option == 'ro') this.attributes |= MOUNT_ATTR_RDONLY;
    else if (option == 'rro') {
      this.attributes |= MOUNT_ATTR_RDONLY;
      this.recursiveAttributes = true;
    } else if (option == 'rw') this.attributes &= ~MOUNT_ATTR_RDONLY;
    else if (option == 'nosuid') this.attributes |= MOUNT_ATTR_NOSUID;
    else if (option == 'suid') this.attributes &= ~MOUNT_ATTR_NOSUID;
    else if (option == 'nodev') this.attributes |= MOUNT_ATTR_NODEV;
    else if (option == 'dev') this.attributes &= ~MOUNT_ATTR_NODEV;
    else if (option == 'noexec') this.attributes |= MOUNT_ATTR_NOEXEC;
    else if (option == 'exec') this.attributes &= ~MOUNT_ATTR_NOEXEC;
    else if (option == 'noatime') this.attributes |= MOUNT_ATTR_NOATIME;
    else if (option == 'strictatime') this.attributes |= MOUNT_ATTR_STRICTATIME;
    else if (option == 'nodiratime') this.attributes |= MOUNT_ATTR_NODIRATIME;
    else if (option == 'nosymfollow') this.attributes |= MOUNT_ATTR_NOSYMFOLLOW;
    else if (option == 'rnosuid') this.addRecursive(MOUNT_ATTR_NOSUID);
    else if (option == 'rnodev') this.addRecursive(MOUNT_ATTR_NODEV);
    else if (option == 'rnoexec') this.addRecursive(MOUNT_ATTR_NOEXEC);
    else if (option == 'rnosymfollow') this.addRecursive(MOUNT_ATTR_NOSYMFOLLOW);
    else if (option == 'tmpcopyup') this.copyUp = true;
    else if (option == 'relatime' || option == 'defaults' || option == 'async') return;
    else if (option == 'atime' || option == 'diratime' || option == 'symfollow' || option == 'nostrictatime') return;
    else if (option == 'bind') this.bind = true;
    else if (option == 'rbind') this.bind = this.recursive = true;
    else if (option == 'loop') this.loop = true;
    else if (option == 'idmap' || option == 'ridmap') {
      this.idmap = true;
      this.recursiveIdmap = option == 'ridmap';
    } else if (!this.propagate(option)) this.data.push(option);
  }

  private addRecursive(attribute: i64): void {
    this.attributes |= attribute;
    this.recursiveAttributes = true;
  }

  private propagate(option: string): bool {
    const recursive = option.startsWith('r') && option != 'relatime';
    const flag = propagationFlag(recursive ? option.substring(1) : option);
    if (flag == 0) return false;
    this.propagation = flag;
    this.recursivePropagation = recursive;
    return true;
  }
}

function propagationFlag(word: string): i64 {
  if (word == 'private') return MS_PRIVATE;
  if (word == 'slave') return MS_SLAVE;
  if (word == 'shared') return MS_SHARED;
  return word == 'unbindable' ? MS_UNBINDABLE : 0;
}
