// The overlay that is the container's root: by fsconfig(2) layer for layer, on kernels before 6.8 by mount(2).
import { OP_CHDIR, OP_MOUNT, OP_OPENAT } from '../abi';
import { Json } from '../json';
import { AT_FDCWD, directoryFlag, O_CLOEXEC, O_PATH } from '../kernel';
import { refuse } from '../status';
import { newFileSystem } from './mounts';
import { ProgramWriter } from './program';

/** mount(2) copies one page of options, its last byte a NUL; 4096 is the smallest page. */
const OPTIONS_MAX = 4095;

/** A detached mount. Returns its register. */
export function newOverlay(program: ProgramWriter, rootfs: Json): i32 {
  const data: string[] = [];
  const lower = rootfs.strings('lower');
  for (let i = 0; i < lower.length; i++) data.push('lowerdir+=' + lower[i]);
  data.push('upperdir=' + rootfs.str('upper'));
  data.push('workdir=' + rootfs.str('work'));
  if (rootfs.flag('volatile')) data.push('volatile');
  return newFileSystem(program, 'overlay', 'overlay', data, 0);
}

/** A mount on an empty directory of the host. Returns the register of its root. */
export function mountOverlayOn(program: ProgramWriter, place: string, rootfs: Json, architecture: string): i32 {
  const lower = rootfs.strings('lower');
  const parent = commonParent(lower);
  let layers = '';
  for (let i = 0; i < lower.length; i++)
    layers += (i > 0 ? ':' : '') + escaped(parent.length > 0 ? lower[i].substring(parent.length + 1) : lower[i]);
  let data = 'lowerdir=' + layers;
  data += ',upperdir=' + escaped(rootfs.str('upper')) + ',workdir=' + escaped(rootfs.str('work'));
  if (rootfs.flag('volatile')) data += ',volatile';
  const size = String.UTF8.byteLength(data);
  if (size > OPTIONS_MAX) refuse('OVERLAY_OPTIONS_LONG', 'rootfs.lower', lower.length.toString(), size.toString());
  if (parent.length > 0)
    program.op(OP_CHDIR).str(parent).because('relative names, so that more layers fit into one page of options');
  program.op(OP_MOUNT).str('overlay').str(place).str('overlay').imm(0).str(data).because('the root');
  return program
    .op(OP_OPENAT)
    .imm(AT_FDCWD)
    .str(place)
    .imm(O_PATH | O_CLOEXEC | directoryFlag(architecture))
    .imm(0)
    .into();
}

/** overlayfs reads ":" between layers, "," between options, and a backslash before either (or itself) as part of the name. */
function escaped(path: string): string {
  let text = '';
  for (let i = 0; i < path.length; i++) {
    const character = path.charAt(i);
    if (character == '\\' || character == ':' || character == ',') text += '\\';
    text += character;
  }
  return text;
}

/** Longest directory that all paths lie in; "" where that is the root. */
function commonParent(paths: string[]): string {
  let parent = directoryOf(paths[0]);
  for (let i = 1; i < paths.length; i++)
    while (parent.length > 0 && !paths[i].startsWith(parent + '/')) parent = directoryOf(parent);
  return parent;
}

function directoryOf(path: string): string {
  const at = path.lastIndexOf('/');
  return at > 0 ? path.substring(0, at) : '';
}
