// A volume that is a file system of its own: mounted for all containers that have it, on its directory of the host.
import { OP_CLOSE, OP_MOVE_MOUNT, OP_UMOUNT2 } from '../abi';
import { Json } from '../json';
import { AT_FDCWD, MNT_DETACH, MOVE_MOUNT_F_EMPTY_PATH } from '../kernel';
import { MountOptions } from './mount-options';
import { setAttributes } from './mount-attributes';
import { cloneTree, newFileSystem } from './mounts';
import { ProgramWriter } from './program';

/** Request: {action: "mount" | "unmount", path, type, device, options}; the options in mount(8)'s words. */
export function planVolume(program: ProgramWriter, request: Json): void {
  const path = request.str('path');
  if (request.str('action') == 'unmount') {
    program.op(OP_UMOUNT2).str(path).imm(MNT_DETACH);
    return;
  }
  const options = new MountOptions(request.strings('options'));
  const device = request.str('device');
  let mount: i32;
  if (options.bind) {
    mount = cloneTree(program, device, options.recursive);
    setAttributes(program, mount, options);
  } else mount = newFileSystem(program, request.str('type'), device, options.data, options.attributes);
  program.op(OP_MOVE_MOUNT).reg(mount).str('').imm(AT_FDCWD).str(path).imm(MOVE_MOUNT_F_EMPTY_PATH);
  program.op(OP_CLOSE).reg(mount);
  program.free(mount);
}
