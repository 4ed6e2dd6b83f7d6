// Device rules and nodes of a container: docker's defaults, --device, --device-cgroup-rule, --privileged.
import { Json } from '../json';
import { refuse } from '../status';

/** type, major, minor ("*" as -1), access. */
function rule(allow: bool, type: string, major: i64, minor: i64, access: string): Json {
  const result = Json.object().set('allow', Json.bool(allow)).set('type', Json.of(type));
  if (major >= 0) result.set('major', Json.int(major));
  if (minor >= 0) result.set('minor', Json.int(minor));
  return result.set('access', Json.of(access));
}

/** OCI linux.resources.devices; the last rule that matches counts. */
export function deviceRules(host: Json, facts: Json): Json {
  const rules = Json.array();
  if (host.flag('privileged')) return rules.push(rule(true, 'a', -1, -1, 'rwm'));
  rules.push(rule(false, 'a', -1, -1, 'rwm'));
  rules.push(rule(true, 'c', -1, -1, 'm'));
  rules.push(rule(true, 'b', -1, -1, 'm'));
  for (let i = 0; i < NODES.length; i += 3)
    rules.push(rule(true, 'c', parse(NODES[i + 1]), parse(NODES[i + 2]), 'rwm'));
  rules.push(rule(true, 'c', 5, 1, 'rwm'));
  rules.push(rule(true, 'c', 5, 2, 'rwm'));
  rules.push(rule(true, 'c', 136, -1, 'rwm'));
  // /dev/net/tun: runc and crun allow it in every container, and VPN images make the node themselves.
  rules.push(rule(true, 'c', 10, 200, 'rwm'));
  const devices = host.list('devices');
  for (let i = 0; i < devices.length; i++) {
    const found = facts.child('devices').list(devices[i].str('pathOnHost'));
    if (found.length != 3) {
      refuse('NO_DEVICE', 'devices', devices[i].str('pathOnHost'));
      continue;
    }
    const access = devices[i].str('cgroupPermissions', 'rwm');
    checkAccess(access, 'devices');
    rules.push(rule(true, found[2].text, found[0].integer, found[1].integer, access));
  }
  const own = host.child('resources').strings('deviceCgroupRules');
  for (let i = 0; i < own.length; i++) rules.push(parseRule(own[i]));
  return rules;
}

function parse(text: string): i64 {
  return I64.parseInt(text);
}

function checkAccess(access: string, field: string): void {
  for (let i = 0; i < access.length; i++)
    if ('rwm'.indexOf(access.charAt(i)) < 0) refuse('DEVICE_ACCESS', field, access);
  if (access.length == 0) refuse('DEVICE_ACCESS', field, access);
}

/** "c 42:* rmw". */
function parseRule(text: string): Json {
  const parts = text.split(' ');
  const numbers = parts.length == 3 ? parts[1].split(':') : [];
  if (numbers.length != 2 || 'abc'.indexOf(parts[0]) < 0 || parts[0].length != 1) {
    refuse('DEVICE_RULE', 'deviceCgroupRules', text);
    return Json.object();
  }
  checkAccess(parts[2], 'deviceCgroupRules');
  return rule(true, parts[0], wildcard(numbers[0], text), wildcard(numbers[1], text), parts[2]);
}

function wildcard(text: string, whole: string): i64 {
  if (text == '*') return -1;
  for (let i = 0; i < text.length; i++)
    if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) refuse('DEVICE_RULE', 'deviceCgroupRules', whole);
  if (text == '') refuse('DEVICE_RULE', 'deviceCgroupRules', whole);
  return I64.parseInt(text);
}

/** Path, major, minor of the nodes that every container has (runtime-spec, "Default Devices"). */
const NODES: StaticArray<string> = [
  '/dev/null',
  '1',
  '3',
  '/dev/zero',
  '1',
  '5',
  '/dev/full',
  '1',
  '7',
  '/dev/random',
  '1',
  '8',
  '/dev/urandom',
  '1',
  '9',
  '/dev/tty',
  '5',
  '0',
];

/** OCI linux.devices: the default nodes and those of --device. */
export function defaultDevices(host: Json, facts: Json): Json {
  const list = Json.array();
  for (let i = 0; i < NODES.length; i += 3) list.push(node(NODES[i], 'c', parse(NODES[i + 1]), parse(NODES[i + 2])));
  const devices = host.list('devices');
  for (let i = 0; i < devices.length; i++) {
    const found = facts.child('devices').list(devices[i].str('pathOnHost'));
    if (found.length == 3)
      list.push(
        node(
          devices[i].str('pathInContainer', devices[i].str('pathOnHost')),
          found[2].text,
          found[0].integer,
          found[1].integer,
        ),
      );
  }
  return list;
}

function node(path: string, type: string, major: i64, minor: i64): Json {
  return Json.object()
    .set('path', Json.of(path))
    .set('type', Json.of(type))
    .set('major', Json.int(major))
    .set('minor', Json.int(minor))
    .set('fileMode', Json.int(0o666))
    .set('uid', Json.int(0))
    .set('gid', Json.int(0));
}
