// The order of a container's life as programs: set-up, tear-down, pool slot. Read this file first.
import {
  LAUNCH_PARKED,
  OP_CLONE,
  OP_CONTROL_SOCKET,
  OP_EXIT_RECORD,
  OP_LAUNCH,
  OP_LOG,
  OP_LOG_BUFFER,
  OP_LOG_COMPRESS,
  OP_NETLINK,
  OP_OPENAT,
  OP_PARK,
  OP_PATCH32,
  OP_PIDFD_OPEN,
  OP_PROC_PID_WRITE,
  OP_RELEASE,
  OP_SETDOMAINNAME,
  OP_SETHOSTNAME,
  OP_SETNS,
  OP_SUPERVISE,
  OP_UNSHARE,
  OP_WAIT,
  OP_WRITE_PROC,
  OP_WRITE_SYSCTL,
  OP_CLOSE,
  POLICY_IGNORE,
  POLICY_WARN,
  SUPERVISE_STDIN,
  SUPERVISE_STDIN_ONCE,
  SUPERVISE_TTY,
} from '../abi';
import { Bytes, ByteWriter } from '../bytes';
import { deviceFilter } from '../devices/filter';
import { v1DeviceWrites } from '../devices/v1';
import { Json } from '../json';
import { AT_FDCWD, CLONE_NEWCGROUP, CLONE_NEWNET, CLONE_NEWTIME, CLONE_NEWUSER, O_CLOEXEC } from '../kernel';
import { containerLinks, hostLinks, settleHostLinks } from '../network/links';
import { IFLA_NET_NS_PID } from '../network/rtnetlink';
import { CgroupWrite, cgroupWrites } from '../resources/writes';
import { filterFlags } from '../seccomp/profile';
import { namespaceFlag } from '../spec/namespaces';
import { cgroupParent } from '../spec/specify';
import { UserNamespace } from '../spec/user-namespace';
import { refuse } from '../status';
import {
  CgroupPlaces,
  joinCgroups,
  limitCgroups,
  makeCgroups,
  openCgroup,
  removeCgroups,
  renameCgroups,
} from './cgroup';
import { becomeProcess, confine } from './process';
import { ProgramWriter } from './program';
import { publishPorts, unpublishPorts } from './network';
import { startResolver } from './wire';
import { openSharedMemory } from './shared-memory';
import { openShared, Sources } from './mounts';
import { connectStdio, cutPropagation, enterRoot, mountRoot, ownStdio, populateRoot, protectPaths } from './rootfs';
import { becomeRoot, mountPrepared, ownPipes, prepareMapped } from './user-namespace';

const NETLINK_ROUTE = 0;

/** The limits of a spec as writes, device rules among them (v1; on v2 they are a program). */
export function allWrites(spec: Json, facts: Json): CgroupWrite[] {
  const resources = spec.child('linux').child('resources');
  const writes = cgroupWrites(resources, facts);
  if (facts.child('cgroup').str('layout') == 'v2') return writes;
  return v1DeviceWrites(resources.list('devices')).concat(writes);
}

export function placesOf(request: Json, name: string): CgroupPlaces {
  const parent = cgroupParent(request.child('container').child('host'));
  return new CgroupPlaces(request.child('facts'), parent, name);
}

/** Set-up: what the supervisor does, and inside it what the launcher and the container's first process do. */
export function planSetup(
  program: ProgramWriter,
  request: Json,
  spec: Json,
  writes: CgroupWrite[],
  filter: Bytes,
): void {
  const facts = request.child('facts');
  const places = placesOf(request, request.str('id'));
  const slot = request.str('pooledSlot');
  supervise(program, request);
  if (slot.length > 0) renameCgroups(program, places, slot);
  else makeCgroups(program, places, facts);
  limitCgroups(program, places, writes);
  const cgroup = openCgroup(
    program,
    places,
    places.unified ? deviceFilter(spec.child('linux').child('resources').list('devices')) : Bytes.none(),
  );
  // Before the launch: where the table is gone, nothing has been run yet.
  publishPorts(program, request.child('network'));
  const launch = program.op(OP_LAUNCH).block();
  program.imm(slot.length > 0 ? LAUNCH_PARKED : 0).because('a process inside the cgroups, to be cloned from');
  const pid = program.into();
  if (slot.length == 0) joinCgroups(program, places);
  confine(program, spec.child('process').str('apparmorProfile'), facts);
  let flags = enterNamespaces(program, spec.child('linux'));
  const user = new UserNamespace(request);
  if (slot.length > 0) {
    // The slot's launcher has made the network namespace already: its child inherits it, but for one that a user namespace shall own.
    if ((flags & CLONE_NEWNET) == 0) refuse('BAD_INPUT', 'pooledSlot');
    if (!user.active) flags &= ~CLONE_NEWNET;
  }
  ownPipes(program, user, spec.child('process'));
  const sources = new Sources();
  openSharedMemory(program, request, spec, sources);
  const root = user.active ? prepareMapped(program, request, spec, user, sources) : -1;
  const clone = program.op(OP_CLONE).block();
  program.imm(flags).reg(cgroup).because('the container');
  becomeContainer(program, request, spec, filter, sources, root);
  program.endBlock(clone);
  program.endBlock(launch);
  connectNetwork(program, request, pid);
  const score = spec.child('process').int('oomScoreAdj');
  if (score != 0)
    program
      .op(OP_PROC_PID_WRITE)
      .reg(pid)
      .str('oom_score_adj')
      .content(score.toString())
      .policy(POLICY_WARN)
      .because('--oom-score-adj');
  program.op(OP_RELEASE).because('network and limits are ready');
  settleNetwork(program, request, pid);
}

function supervise(program: ProgramWriter, request: Json): void {
  const container = request.child('container');
  const paths = request.child('paths');
  let flags = 0;
  if (container.flag('tty')) flags |= SUPERVISE_TTY;
  if (container.flag('openStdin')) flags |= SUPERVISE_STDIN;
  if (container.flag('stdinOnce')) flags |= SUPERVISE_STDIN_ONCE;
  program.op(OP_SUPERVISE).imm(flags).imm(0);
  if (paths.str('controlSocket') != '') program.op(OP_CONTROL_SOCKET).str(paths.str('controlSocket'));
  if (paths.str('log') != '')
    program.op(OP_LOG).str(paths.str('log')).imm(paths.int('logMaxSize')).imm(paths.int('logMaxFiles'));
  if (paths.flag('logCompress')) program.op(OP_LOG_COMPRESS);
  if (paths.int('logBuffer') > 0) program.op(OP_LOG_BUFFER).imm(paths.int('logBuffer'));
  if (paths.str('exitRecord') != '') program.op(OP_EXIT_RECORD).str(paths.str('exitRecord'));
}

/** In the launcher: joins others' namespaces, and the time namespace whose offsets must stand before anyone is in it. Returns the clone flags. */
export function enterNamespaces(program: ProgramWriter, linux: Json): i64 {
  const namespaces = linux.list('namespaces');
  let flags: i64 = 0;
  for (let i = 0; i < namespaces.length; i++) {
    const type = namespaces[i].str('type');
    const path = namespaces[i].str('path');
    const flag = namespaceFlag(type);
    if (flag == CLONE_NEWUSER) continue; // Entered last, by prepareMapped.
    if (path.length > 0) {
      const register = program.op(OP_OPENAT).imm(AT_FDCWD).str(path).imm(O_CLOEXEC).imm(0).into();
      program
        .op(OP_SETNS)
        .reg(register)
        .imm(flag)
        .because('shares the ' + type + ' namespace');
      program.op(OP_CLOSE).reg(register);
      program.free(register);
    } else if (flag == CLONE_NEWTIME) {
      program.op(OP_UNSHARE).imm(CLONE_NEWTIME).because('children get a time namespace of their own');
      timeOffsets(program, linux.child('timeOffsets'));
    } else if (flag != CLONE_NEWCGROUP) flags |= flag;
  }
  return flags;
}

function timeOffsets(program: ProgramWriter, offsets: Json): void {
  for (let i = 0; i < offsets.keys.length; i++) {
    const offset = offsets.items[i];
    const line = offsets.keys[i] + ' ' + offset.int('secs').toString() + ' ' + offset.int('nanosecs').toString();
    program.op(OP_WRITE_PROC).str('/proc/self/timens_offsets').content(line).because('--time-offset');
  }
}

/** @param preparedRoot the root's register where the launcher has mounted it: the ids are mapped; else -1. */
function becomeContainer(
  program: ProgramWriter,
  request: Json,
  spec: Json,
  filter: Bytes,
  sources: Sources,
  preparedRoot: i32,
): void {
  const linux = spec.child('linux');
  if (preparedRoot >= 0) becomeRoot(program);
  const namespaces = linux.list('namespaces');
  for (let i = 0; i < namespaces.length; i++)
    if (namespaces[i].str('type') == 'cgroup' && namespaces[i].str('path') == '')
      program.op(OP_UNSHARE).imm(CLONE_NEWCGROUP).because('its cgroup is the root that it sees');
  let root = preparedRoot;
  let cover = -1;
  if (root >= 0) {
    cover = mountPrepared(program, root);
  } else {
    openShared(program, spec.list('mounts'), sources);
    cutPropagation(program);
    root = mountRoot(program, request);
  }
  populateRoot(program, root, spec, request, sources);
  const sysctls = linux.child('sysctl');
  for (let i = 0; i < sysctls.keys.length; i++)
    program
      .op(OP_WRITE_SYSCTL)
      .reg(root)
      .str('/proc/sys/' + sysctls.keys[i].split('.').join('/'))
      .content(sysctls.items[i].text)
      .because('--sysctl ' + sysctls.keys[i]);
  if (spec.str('hostname') != '') program.op(OP_SETHOSTNAME).content(spec.str('hostname'));
  if (spec.str('domainname') != '') program.op(OP_SETDOMAINNAME).content(spec.str('domainname'));
  const container = request.child('container');
  const size = container.child('host').list('consoleSize');
  connectStdio(program, root, spec.child('process').flag('terminal'), size, true);
  ownStdio(program, spec.child('process').child('user'), container.flag('tty') || container.flag('openStdin'));
  protectPaths(program, root, linux, request, cover);
  program.op(OP_WAIT).because('until the supervisor has connected the network');
  const network = request.child('network');
  if (network.str('mode') == 'private' || network.str('mode') == 'none') {
    const messages = new ByteWriter(1024);
    containerLinks(messages, network);
    program.op(OP_NETLINK).imm(NETLINK_ROUTE).buffer(messages.view()).because('lo, addresses and routes');
    if (network.list('interfaces').length > 0) {
      program.op(OP_RELEASE).because('the interfaces are up');
      program.op(OP_WAIT).because('until their host ends have settled');
    }
  }
  enterRoot(program, root, spec.child('root').flag('readonly'));
  becomeProcess(program, spec.child('process'), filter, filterFlags(request.strings('seccompFlags')));
}

/** Host ends of the interfaces, each made with its peer in the container's namespace already. */
function connectNetwork(program: ProgramWriter, request: Json, pid: i32): void {
  const interfaces = request.child('network').list('interfaces');
  if (interfaces.length == 0) return;
  const messages = new ByteWriter(1024);
  const patches = hostLinks(messages, interfaces, IFLA_NET_NS_PID);
  const blob = program.blob(messages.view());
  for (let i = 0; i < patches.length; i++)
    program
      .op(OP_PATCH32)
      .imm(blob + patches[i])
      .reg(pid)
      .because('the peer goes to the container');
  program.op(OP_NETLINK).imm(NETLINK_ROUTE).pointer(blob).imm(messages.length).because('veth pair on the bridge');
}

/** When the container's ends are up: no frame of its first connections is lost. */
function settleNetwork(program: ProgramWriter, request: Json, pid: i32): void {
  const interfaces = request.child('network').list('interfaces');
  if (interfaces.length == 0) return;
  program.op(OP_WAIT).because('until the container has set its interfaces up');
  const messages = new ByteWriter(256);
  settleHostLinks(messages, interfaces);
  program
    .op(OP_NETLINK)
    .imm(NETLINK_ROUTE)
    .buffer(messages.view())
    .policy(POLICY_IGNORE)
    .because('host end and bridge carry from now on');
  const resolver = request.child('network').get('resolver');
  if (resolver != null) {
    const container = program.op(OP_PIDFD_OPEN).reg(pid).imm(0).into();
    startResolver(program, resolver, container);
    program.op(OP_CLOSE).reg(container);
    program.free(container);
  }
  program.op(OP_RELEASE).because('the network works');
}

/** Tear-down: published ports and cgroups; mounts and interfaces die with their namespaces. */
export function planTeardown(program: ProgramWriter, request: Json): void {
  unpublishPorts(program, request.child('network'));
  removeCgroups(program, placesOf(request, request.str('id')));
}

/** A pool slot: cgroups under the slot's name, and a launcher parked in them and in a network namespace of its own. */
export function planSlot(program: ProgramWriter, request: Json): void {
  const places = placesOf(request, request.str('id'));
  makeCgroups(program, places, request.child('facts'));
  const launch = program.op(OP_LAUNCH).block();
  program.imm(0);
  joinCgroups(program, places);
  program.op(OP_UNSHARE).imm(CLONE_NEWNET).because('for a container with a network of its own');
  program.op(OP_PARK);
  program.endBlock(launch);
}
