// A volume that is a file system of its own: mounted for all containers that have it, on its directory of the host.
import { OP_CLOSE, OP_LOOP_DEVICE, OP_MOVE_MOUNT, OP_UMOUNT2 } from '../abi';
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import { AT_FDCWD, MNT_DETACH, MOUNT_ATTR_RDONLY, MOVE_MOUNT_F_EMPTY_PATH } from '../kernel';
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
  } else if (options.loop) mount = mountFile(program, request.str('type'), device, options);
  else mount = newFileSystem(program, request.str('type'), device, options.data, options.attributes);
  program.op(OP_MOVE_MOUNT).reg(mount).str('').imm(AT_FDCWD).str(path).imm(MOVE_MOUNT_F_EMPTY_PATH);
  program.op(OP_CLOSE).reg(mount);
  program.free(mount);
}

/** linux/loop.h. */
const LO_FLAGS_READ_ONLY: i64 = 1;
const LO_FLAGS_AUTOCLEAR: i64 = 4;
const LO_FLAGS_DIRECT_IO: i64 = 16;
/** "/dev/loop1048575" and more. */
const LOOP_NAME = 32;

/** What is in a file, through a loop device that goes with the last mount of it. Read directly: one cache is enough. */
function mountFile(program: ProgramWriter, type: string, file: string, options: MountOptions): i32 {
  const name = new ByteWriter(LOOP_NAME);
  name.zeros(LOOP_NAME);
  const place = program.blob(name.view());
  const readOnly = (options.attributes & MOUNT_ATTR_RDONLY) != 0;
  const device = program
    .op(OP_LOOP_DEVICE)
    .str(file)
    .imm(LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO | (readOnly ? LO_FLAGS_READ_ONLY : 0))
    .pointer(place)
    .imm(LOOP_NAME)
    .into();
  if (readOnly) options.data.push('ro'); // Of the file system, too: the device cannot be written.
  const mount = newFileSystem(program, type, '', options.data, options.attributes, place);
  program.op(OP_CLOSE).reg(device);
  program.free(device);
  return mount;
}
