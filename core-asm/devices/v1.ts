// Device rules → devices.allow and devices.deny of cgroup v1 (admin-guide/cgroup-v1/devices.rst).
import { Json } from '../json';
import { CgroupWrite } from '../resources/writes';

function number(rule: Json, key: string): string {
  return rule.has(key) ? rule.int(key).toString() : '*';
}

export function v1DeviceWrites(rules: Json[]): CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    const file = rule.flag('allow') ? 'devices.allow' : 'devices.deny';
    const type = rule.str('type', 'a');
    const value =
      type == 'a' ? 'a' : type + ' ' + number(rule, 'major') + ':' + number(rule, 'minor') + ' ' + rule.str('access');
    writes.push(new CgroupWrite('devices', file, value));
  }
  return writes;
}
