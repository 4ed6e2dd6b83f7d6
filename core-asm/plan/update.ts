// A change of a running container's limits: only the files whose value changes, in an order that the kernel takes.
import { Json } from '../json';
import { resolveResources } from '../resources/resolve';
import { CgroupWrite, cgroupWrites } from '../resources/writes';
import { writeLimits } from './cgroup';
import { placesOf } from './plan';
import { clearRefusal } from '../status';
import { ProgramWriter } from './program';

/** File, and what a new cgroup has in it; of the files that `update` can change. */
const UNSET: StaticArray<string> = [
  'pids.max',
  'max',
  'memory.limit_in_bytes',
  '-1',
  'memory.memsw.limit_in_bytes',
  '-1',
  'memory.soft_limit_in_bytes',
  '-1',
  'memory.max',
  'max',
  'memory.swap.max',
  'max',
  'memory.low',
  '0',
  'cpu.shares',
  '1024',
  'cpu.cfs_period_us',
  '100000',
  'cpu.cfs_quota_us',
  '-1',
  'cpu.rt_period_us',
  '1000000',
  'cpu.rt_runtime_us',
  '0',
  'cpu.weight',
  '100',
  'cpu.max',
  'max 100000',
  'blkio.weight',
  '500',
  'blkio.bfq.weight',
  '100',
  'io.weight',
  'default 100',
  'io.bfq.weight',
  'default 100',
];

/** request: {facts, id, container, before, after}; the last two are docker's resources. */
export function planUpdate(program: ProgramWriter, request: Json): void {
  const facts = request.child('facts');
  const before = cgroupWrites(resolveResources(request.child('before'), facts), facts);
  clearRefusal(); // What is in force is not to be refused, and was warned of when it came.
  const after = cgroupWrites(resolveResources(request.child('after'), facts), facts);
  const changed: CgroupWrite[] = [];
  // What is no longer set, first: on the way back from a change that failed, all of it is.
  for (let i = 0; i < before.length; i++) {
    const old = before[i];
    const value = unsetValue(old.file, facts);
    if (indexOf(after, old.file) < 0 && value != '')
      changed.push(new CgroupWrite(old.controller, old.file, value, old.policy));
  }
  for (let i = 0; i < after.length; i++) if (!hasWrite(before, after[i])) changed.push(after[i]);
  // Memory must never exceed memory plus swap, not for a moment: what is raised is raised from above.
  if (limit(after, 'memory.memsw.limit_in_bytes') >= limit(before, 'memory.memsw.limit_in_bytes'))
    exchange(changed, 'memory.limit_in_bytes', 'memory.memsw.limit_in_bytes');
  // The share of time must never exceed both its old and its new value: a cgroup above may allow no more.
  if (number(after, 'cpu.cfs_period_us', 100000) < number(before, 'cpu.cfs_period_us', 100000))
    exchange(changed, 'cpu.cfs_period_us', 'cpu.cfs_quota_us');
  writeLimits(program, placesOf(request, request.str('id')), changed);
}

/** Empty for files that `update` cannot change. */
function unsetValue(file: string, facts: Json): string {
  // All of them: an empty set is what v2, too, refuses to a cgroup with processes in it.
  if (file == 'cpuset.cpus') return facts.str('cpusetCpus');
  if (file == 'cpuset.mems') return facts.str('cpusetMems');
  for (let i = 0; i < UNSET.length; i += 2) if (UNSET[i] == file) return UNSET[i + 1];
  return '';
}

function hasWrite(writes: CgroupWrite[], wanted: CgroupWrite): bool {
  for (let i = 0; i < writes.length; i++)
    if (writes[i].goesWith(wanted) && writes[i].value == wanted.value) return true;
  return false;
}

function indexOf(writes: CgroupWrite[], file: string): i32 {
  for (let i = 0; i < writes.length; i++) if (writes[i].file == file) return i;
  return -1;
}

function valueOf(writes: CgroupWrite[], file: string): string {
  const at = indexOf(writes, file);
  return at < 0 ? '' : writes[at].value;
}

function number(writes: CgroupWrite[], file: string, absent: i64): i64 {
  const value = valueOf(writes, file);
  return value == '' ? absent : I64.parseInt(value);
}

/** -1 and absence are above every limit. */
function limit(writes: CgroupWrite[], file: string): i64 {
  const value = number(writes, file, -1);
  return value < 0 ? i64.MAX_VALUE : value;
}

/** Where both are written, they change places. */
function exchange(writes: CgroupWrite[], first: string, second: string): void {
  const a = indexOf(writes, first);
  const b = indexOf(writes, second);
  if (a < 0 || b < 0) return;
  const held = writes[a];
  writes[a] = writes[b];
  writes[b] = held;
}
