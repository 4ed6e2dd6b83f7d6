// Attributes and propagation of mounts, as mount_setattr(2) takes them.
import { OP_MOUNT_SETATTR } from '../abi';
import { Bytes, ByteWriter } from '../bytes';
import { AT_EMPTY_PATH, AT_RECURSIVE } from '../kernel';
import { MountOptions } from './mount-options';
import { ProgramWriter } from './program';

/** In one call, unless one of both holds for the mounts below and the other does not. */
export function setAttributes(program: ProgramWriter, tree: i32, options: MountOptions): void {
  const attributes = options.attributes;
  const propagation = options.propagation;
  const apart =
    attributes != 0 &&
    propagation != 0 &&
    options.recursive &&
    options.recursiveAttributes != options.recursivePropagation;
  if (apart) {
    setAttribute(program, tree, attributes, 0, options.recursiveAttributes);
    setAttribute(program, tree, 0, propagation, options.recursivePropagation);
  } else if (attributes != 0 || propagation != 0)
    setAttribute(program, tree, attributes, propagation, options.recursiveAttributes || options.recursivePropagation);
}

function setAttribute(program: ProgramWriter, tree: i32, attributes: i64, propagation: i64, recursive: bool): void {
  program
    .op(OP_MOUNT_SETATTR)
    .reg(tree)
    .str('')
    .imm(AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0))
    .buffer(mountAttributes(attributes, propagation));
}

/** struct mount_attr of mount_setattr(2): set, clear, propagation, user namespace. */
export function mountAttributes(set: i64, propagation: i64, clear: i64 = 0): Bytes {
  const out = new ByteWriter(32);
  out.u64(set);
  out.u64(clear);
  out.u64(propagation);
  out.u64(0);
  return out.view();
}
