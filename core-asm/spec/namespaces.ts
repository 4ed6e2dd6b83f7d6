// The OCI `linux.namespaces` list from docker's mode words, and the clone flags of each.
import { Json } from '../json';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from '../kernel';
import { refuse } from '../status';
import { UserNamespace } from './user-namespace';

/** clone(2) flag of an OCI namespace type; 0 for an unknown one. */
export function namespaceFlag(type: string): i64 {
  if (type == 'pid') return CLONE_NEWPID;
  if (type == 'network') return CLONE_NEWNET;
  if (type == 'mount') return CLONE_NEWNS;
  if (type == 'ipc') return CLONE_NEWIPC;
  if (type == 'uts') return CLONE_NEWUTS;
  if (type == 'user') return CLONE_NEWUSER;
  if (type == 'cgroup') return CLONE_NEWCGROUP;
  if (type == 'time') return CLONE_NEWTIME;
  return 0;
}

/** The namespace's entry; null where the container has the host's. */
export function namespaceOf(spec: Json, type: string): Json | null {
  const namespaces = spec.child('linux').list('namespaces');
  for (let i = 0; i < namespaces.length; i++) if (namespaces[i].str('type') == type) return namespaces[i];
  return null;
}

/** Name under /proc/PID/ns. */
export function namespaceFile(type: string): string {
  if (type == 'network') return 'net';
  if (type == 'mount') return 'mnt';
  return type;
}

function add(list: Json, request: Json, type: string, mode: string): void {
  if (mode == 'host') return;
  const entry = Json.object().set('type', Json.of(type));
  if (mode.startsWith('container:')) {
    const pid = request.child('joinPids').int(type);
    if (pid <= 0) refuse('JOIN_NOT_RUNNING', type + 'Mode', mode);
    entry.set('path', Json.of('/proc/' + pid.toString() + '/ns/' + namespaceFile(type)));
  } else if (mode != '' && mode != 'private' && mode != 'shareable' && mode != 'none') {
    refuse('NAMESPACE_MODE', type + 'Mode', mode);
  }
  list.push(entry);
}

/** Builds the list; a private mount namespace is always in it. */
export function specifyNamespaces(request: Json): Json {
  const host = request.child('container').child('host');
  const facts = request.child('facts');
  const list = Json.array();
  add(list, request, 'pid', host.str('pidMode'));
  const network = request.child('network');
  const networkMode = network.str('mode');
  if (networkMode == 'join')
    list.push(
      Json.object()
        .set('type', Json.of('network'))
        .set('path', Json.of('/proc/' + network.int('pid').toString() + '/ns/net')),
    );
  else add(list, request, 'network', networkMode == 'host' ? 'host' : '');
  list.push(Json.object().set('type', Json.of('mount')));
  add(list, request, 'ipc', host.str('ipcMode'));
  add(list, request, 'uts', host.str('utsMode'));
  add(list, request, 'cgroup', host.str('cgroupMode'));
  const user = new UserNamespace(request);
  if (user.active) add(list, request, 'user', user.shared ? host.str('userMode') : '');
  specifyTime(list, request, host, facts);
  return list;
}

/** clone(2) flags of all namespaces that are not the host's: what an exec enters, whoever made them. */
export function namespacesToEnter(request: Json): i64 {
  const host = request.child('container').child('host');
  let flags = CLONE_NEWNS;
  if (host.str('pidMode') != 'host') flags |= CLONE_NEWPID;
  if (host.str('networkMode') != 'host') flags |= CLONE_NEWNET;
  if (host.str('ipcMode') != 'host') flags |= CLONE_NEWIPC;
  if (host.str('utsMode') != 'host') flags |= CLONE_NEWUTS;
  if (host.str('cgroupMode') != 'host') flags |= CLONE_NEWCGROUP;
  if (host.str('timeMode') != 'host' && request.child('facts').strings('features').includes('time_namespace'))
    flags |= CLONE_NEWTIME;
  if (new UserNamespace(request).active) flags |= CLONE_NEWUSER;
  return flags;
}

function specifyTime(list: Json, request: Json, host: Json, facts: Json): void {
  const wanted = host.str('timeMode');
  const offset = host.str('timeOffset');
  const supported = facts.strings('features').includes('time_namespace');
  if (!supported) {
    if (offset.length > 0 || (wanted != '' && wanted != 'host')) refuse('NO_TIME_NAMESPACE', 'timeOffset', offset);
    return;
  }
  add(list, request, 'time', wanted);
}

/** "monotonic=SECONDS,boottime=SECONDS" → OCI timeOffsets. */
export function specifyTimeOffsets(text: string): Json {
  const result = Json.object();
  if (text.length == 0) return result;
  const parts = text.split(',');
  for (let i = 0; i < parts.length; i++) {
    const pair = parts[i].split('=');
    const seconds = pair.length == 2 ? parseFloat(pair[1]) : NaN;
    if (isNaN(seconds) || (pair[0] != 'monotonic' && pair[0] != 'boottime')) {
      refuse('TIME_OFFSET', 'timeOffset', text);
      return result;
    }
    const whole = floor(seconds);
    result.set(
      pair[0],
      Json.object()
        .set('secs', Json.int(<i64>whole))
        .set('nanosecs', Json.int(<i64>((seconds - whole) * 1e9))),
    );
  }
  return result;
}
