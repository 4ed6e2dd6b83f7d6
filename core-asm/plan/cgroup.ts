// The container's cgroups: made, limited, joined by the launcher, removed. Joining is what costs, so pools join ahead.
import {
  OP_BPF_DEVICE,
  OP_CLOSE,
  OP_FILL_CPUSET,
  OP_MAKE_CGROUP,
  OP_MKDIRAT,
  OP_OOM_EVENTS,
  OP_OPENAT,
  OP_REMOVE_CGROUP,
  OP_RENAMEAT2,
  OP_WRITE_FILE,
  OP_WRITE_LINES,
  POLICY_IGNORE,
} from '../abi';
import { Bytes } from '../bytes';
import { Json } from '../json';
import { AT_FDCWD, O_CLOEXEC, O_PATH } from '../kernel';
import { CgroupWrite } from '../resources/writes';
import { refuse } from '../status';
import { ProgramWriter } from './program';

/** Where one container's cgroup lies in each hierarchy of this host. */
export class CgroupPlaces {
  /** Distinct mount points of the hierarchies that containers use. */
  mounts: string[] = [];
  unified: bool;
  private controllers: string[] = [];
  private points: string[] = [];

  constructor(
    facts: Json,
    public parent: string,
    public name: string,
  ) {
    const cgroup = facts.child('cgroup');
    const layout = cgroup.str('layout');
    this.unified = layout == 'v2';
    const mounts = cgroup.child('mounts');
    for (let i = 0; i < mounts.keys.length; i++) {
      const point = mounts.items[i].text;
      this.controllers.push(mounts.keys[i]);
      this.points.push(point);
      if (!this.unified && mounts.keys[i] == '') continue; // The almost empty v2 tree of a hybrid host.
      if (!this.mounts.includes(point)) this.mounts.push(point);
    }
  }

  parentOf(mount: string): string {
    return mount + '/' + this.parent;
  }

  directory(mount: string, name: string = this.name): string {
    return this.parentOf(mount) + '/' + name;
  }

  /** Directory that holds a controller's files; empty where the host has none. */
  of(controller: string): string {
    if (this.unified) return this.mounts.length > 0 ? this.directory(this.mounts[0]) : '';
    for (let i = 0; i < this.controllers.length; i++)
      if (this.controllers[i] == controller) return this.directory(this.points[i]);
    return '';
  }

  /** The order in which they are removed: on v1 what is frozen does not die, so its freezer comes first. */
  leaving(): string[] {
    const freezer = this.mountOf('freezer');
    const order: string[] = freezer == '' || this.unified ? [] : [freezer];
    for (let i = 0; i < this.mounts.length; i++) if (!order.includes(this.mounts[i])) order.push(this.mounts[i]);
    return order;
  }

  mountOf(controller: string): string {
    for (let i = 0; i < this.controllers.length; i++) if (this.controllers[i] == controller) return this.points[i];
    return '';
  }
}

function writeFile(program: ProgramWriter, path: string, value: string): ProgramWriter {
  return program.op(OP_WRITE_FILE).imm(AT_FDCWD).str(path).content(value).imm(0);
}

/** Makes the parent and the cgroup in every hierarchy; a v1 cpuset is filled so that it can be joined. */
export function makeCgroups(program: ProgramWriter, places: CgroupPlaces, facts: Json): void {
  for (let i = 0; i < places.mounts.length; i++) {
    const mount = places.mounts[i];
    makeParents(program, places, mount, facts);
    program.op(OP_MAKE_CGROUP).str(places.directory(mount)).because('cgroup of the container');
    if (mount == places.mountOf('cpuset') && !places.unified) fillCpuset(program, places.directory(mount), facts);
  }
}

/** What lies above the cgroup in one hierarchy. `inherit`: it may be somebody else's, whose cpusets stay as they are. */
export function makeParents(
  program: ProgramWriter,
  places: CgroupPlaces,
  mount: string,
  facts: Json,
  inherit: bool = false,
): void {
  const parts = places.parent.split('/');
  let path = mount;
  // A controller reaches a cgroup only through every one above it, and nobody else may have enabled it at the root.
  if (places.unified) delegate(program, path, facts);
  for (let j = 0; j < parts.length; j++) {
    path += '/' + parts[j];
    program.op(OP_MKDIRAT).imm(AT_FDCWD).str(path).imm(0o755).policy(POLICY_IGNORE).because('may be there already');
    if (places.unified) delegate(program, path, facts);
    if (mount != places.mountOf('cpuset') || places.unified) continue;
    if (inherit) inheritCpuset(program, path);
    else fillCpuset(program, path, facts);
  }
}

function inheritCpuset(program: ProgramWriter, path: string): void {
  program.op(OP_FILL_CPUSET).str(path).policy(POLICY_IGNORE).because('an empty cpuset cannot be joined');
}

/** What somebody has made already, a pod for instance, stays as it is. */
export function makeForeignCgroups(program: ProgramWriter, places: CgroupPlaces, facts: Json): void {
  for (let i = 0; i < places.mounts.length; i++) {
    const mount = places.mounts[i];
    makeParents(program, places, mount, facts, true);
    const path = places.directory(mount);
    program.op(OP_MKDIRAT).imm(AT_FDCWD).str(path).imm(0o755).policy(POLICY_IGNORE).because('cgroup of the container');
    if (mount == places.mountOf('cpuset') && !places.unified) inheritCpuset(program, path);
  }
}

function fillCpuset(program: ProgramWriter, path: string, facts: Json): void {
  writeFile(program, path + '/cpuset.cpus', facts.str('cpusetCpus'))
    .policy(POLICY_IGNORE)
    .because('an empty cpuset cannot be joined');
  writeFile(program, path + '/cpuset.mems', facts.str('cpusetMems')).policy(POLICY_IGNORE);
}

function delegate(program: ProgramWriter, path: string, facts: Json): void {
  const controllers = facts.child('cgroup').strings('controllers');
  for (let i = 0; i < controllers.length; i++)
    writeFile(program, path + '/cgroup.subtree_control', '+' + controllers[i])
      .policy(POLICY_IGNORE)
      .because('children need the controller');
}

/** A pool slot's cgroups get the container's name: v1 can rename them with the launcher inside. */
export function renameCgroups(program: ProgramWriter, places: CgroupPlaces, slot: string): void {
  for (let i = 0; i < places.mounts.length; i++)
    program
      .op(OP_RENAMEAT2)
      .imm(AT_FDCWD)
      .str(places.directory(places.mounts[i], slot))
      .imm(AT_FDCWD)
      .str(places.directory(places.mounts[i]))
      .imm(0)
      .because('the slot becomes the cgroup of the container');
}

/** Before anything runs in them. */
export function limitCgroups(program: ProgramWriter, places: CgroupPlaces, writes: CgroupWrite[]): void {
  writeLimits(program, places, writes);
  const memory = places.of('memory');
  if (memory != '') program.op(OP_OOM_EVENTS).str(memory + (places.unified ? '/memory.events' : '/memory.oom_control'));
}

export function writeLimits(program: ProgramWriter, places: CgroupPlaces, writes: CgroupWrite[]): void {
  for (let i = 0; i < writes.length; i++) {
    const write = writes[i];
    const directory = places.of(write.controller);
    if (directory == '') {
      if (write.controller != 'devices') refuse('NO_CONTROLLER', write.file, write.controller);
      continue;
    }
    let value = write.value;
    let more = i + 1;
    for (; more < writes.length && writes[more].goesWith(write); more++) value += '\n' + writes[more].value;
    if (more == i + 1) writeFile(program, directory + '/' + write.file, value).policy(write.policy);
    else
      program
        .op(OP_WRITE_LINES)
        .imm(AT_FDCWD)
        .str(directory + '/' + write.file)
        .content(value)
        .policy(write.policy);
    i = more - 1;
  }
}

/** v2: opens the cgroup for CLONE_INTO_CGROUP, device filter attached. Returns its register; -1 on v1. */
export function openCgroup(program: ProgramWriter, places: CgroupPlaces, deviceProgram: Bytes): i32 {
  if (!places.unified || places.mounts.length == 0) return -1;
  const register = program
    .op(OP_OPENAT)
    .imm(AT_FDCWD)
    .str(places.directory(places.mounts[0]))
    .imm(O_PATH | O_CLOEXEC)
    .imm(0)
    .into();
  if (deviceProgram.length > 0) {
    const readable = program
      .op(OP_OPENAT)
      .imm(AT_FDCWD)
      .str(places.directory(places.mounts[0]))
      .imm(O_CLOEXEC)
      .imm(0)
      .into();
    program.op(OP_BPF_DEVICE).reg(readable).buffer(deviceProgram).because('which devices the container may use');
    program.op(OP_CLOSE).reg(readable);
    program.free(readable);
  }
  return register;
}

/**
 * v1, in the launcher: it joins, its child inherits. By "tasks": what moves only itself takes no lock over the forks of the whole
 * machine (Linux 5.19 and newer), which "cgroup.procs" takes and which costs an RCU grace period, some 10 ms, after idleness.
 */
export function joinCgroups(program: ProgramWriter, places: CgroupPlaces): void {
  if (places.unified) return;
  for (let i = 0; i < places.mounts.length; i++)
    writeFile(program, places.directory(places.mounts[i]) + '/tasks', '0').because(
      'the launcher joins, its child inherits',
    );
}

export function removeCgroups(program: ProgramWriter, places: CgroupPlaces): void {
  const mounts = places.leaving();
  for (let i = 0; i < mounts.length; i++)
    program.op(OP_REMOVE_CGROUP).str(places.directory(mounts[i])).policy(POLICY_IGNORE);
}
