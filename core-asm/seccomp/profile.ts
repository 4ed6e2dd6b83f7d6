// A profile (docker's or OCI's JSON) with its includes and excludes resolved for one container: plain OCI linux.seccomp.
import { Json } from '../json';
import { refuse } from '../status';

/** What includes and excludes are asked about. */
export class ProfileTarget {
  constructor(
    /** "x86_64" or "aarch64". */
    public architecture: string,
    /** Bounding set, "CAP_…". */
    public capabilities: string[],
    public kernelMajor: i64,
    public kernelMinor: i64,
  ) {}

  /** Docker's names for the native architecture and those that its processes may switch to. */
  private archNames(): string {
    return this.architecture == 'aarch64' ? ',arm64,' : ',amd64,';
  }

  /** Whether a condition ({arches, caps, minKernel}) holds; for excludes any part, for includes every part. */
  holds(condition: Json, any: bool): bool {
    const arches = condition.strings('arches');
    if (arches.length > 0) {
      let found = false;
      for (let i = 0; i < arches.length; i++) if (this.archNames().includes(',' + arches[i] + ',')) found = true;
      if (found == any) return any;
    }
    const caps = condition.strings('caps');
    for (let i = 0; i < caps.length; i++) {
      if (this.capabilities.includes(caps[i]) == any) return any;
    }
    const minimum = condition.str('minKernel');
    if (minimum != '' && this.kernelAtLeast(minimum) == any) return any;
    return !any;
  }

  private kernelAtLeast(version: string): bool {
    const parts = version.split('.');
    const major = <i64>parseInt(parts[0]);
    const minor = parts.length > 1 ? <i64>parseInt(parts[1]) : 0;
    return this.kernelMajor > major || (this.kernelMajor == major && this.kernelMinor >= minor);
  }
}

/** Returns {defaultAction, defaultErrnoRet, architectures, flags, syscalls: [{names, action, errnoRet, args}]}. */
export function resolveProfile(profile: Json, target: ProfileTarget): Json {
  const result = Json.object().set('defaultAction', Json.of(profile.str('defaultAction')));
  const errno = profile.get('defaultErrnoRet');
  if (errno) result.set('defaultErrnoRet', errno);
  result.set('architectures', architecturesOf(profile, target));
  const flags = profile.get('flags');
  if (flags) {
    filterFlags(profile.strings('flags'));
    result.set('flags', flags);
  }
  const syscalls = Json.array();
  const given = profile.list('syscalls');
  for (let i = 0; i < given.length; i++) {
    const rule = given[i];
    if (rule.child('excludes').keys.length > 0 && target.holds(rule.child('excludes'), true)) continue;
    if (rule.child('includes').keys.length > 0 && !target.holds(rule.child('includes'), false)) continue;
    const names = rule.strings('names');
    if (rule.str('name') != '') names.push(rule.str('name'));
    if (names.length == 0) refuse('SECCOMP_NO_NAMES', 'syscalls[' + i.toString() + ']');
    const kept = Json.object()
      .set('names', Json.strings(names))
      .set('action', Json.of(rule.str('action')));
    const ret = rule.get('errnoRet');
    if (ret) kept.set('errnoRet', ret);
    const args = rule.get('args');
    if (args && args.items.length > 0) kept.set('args', args);
    syscalls.push(kept);
  }
  return result.set('syscalls', syscalls);
}

/** Flags of seccomp(2). TSYNC says nothing here: one thread installs the filter. */
export function filterFlags(names: string[]): i32 {
  let flags = 0;
  for (let i = 0; i < names.length; i++) {
    if (names[i] == 'SECCOMP_FILTER_FLAG_LOG') flags |= 2;
    else if (names[i] == 'SECCOMP_FILTER_FLAG_SPEC_ALLOW') flags |= 4;
    else if (names[i] == 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV') flags |= 32;
    else if (names[i] != 'SECCOMP_FILTER_FLAG_TSYNC') refuse('SECCOMP_FLAG', 'flags', names[i]);
  }
  return flags;
}

function architecturesOf(profile: Json, target: ProfileTarget): Json {
  const own = target.architecture == 'aarch64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64';
  const map = profile.list('archMap');
  for (let i = 0; i < map.length; i++) {
    if (map[i].str('architecture') == own) return Json.strings([own].concat(map[i].strings('subArchitectures')));
  }
  const listed = profile.get('architectures');
  return listed && listed.items.length > 0 ? listed : Json.strings([own]);
}
