// Which ids of the host containers get: ranges that never overlap, from where the administrator or we say.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settleIdMaps, sharedIdMaps, withIdMaps } from '../../host/engine/id-maps.ts';
import type { IdMaps } from '../../host/engine/record.ts';
import type { ContainerConfig } from '../../host/types.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';

const config = (change: Partial<ContainerConfig['host']>): ContainerConfig => {
  const { container } = planRequest(hostFacts('v1', 'x86_64'));
  return { ...container, host: { ...container.host, ...change } };
};
const auto = config({ userMode: 'auto' });

describe('ids of user namespaces', () => {
  const etc = mkdtempSync(join(tmpdir(), 'gantry-etc-'));
  const missing = join(etc, 'missing');

  beforeAll(() => {
    writeFileSync(
      join(etc, 'subuid'),
      'user:100000:65536\ncontainers:3000000:70000\n# containers:1:1\ncontainers:4000000:65536\n',
    );
    writeFileSync(join(etc, 'subgid'), 'containers:5000000:131072\n');
  });
  afterAll(() => rmSync(etc, { recursive: true }));

  it('are none where nobody asks', () => {
    for (const userMode of ['', 'host', 'container:other'])
      expect(settleIdMaps(config({ userMode }), [], etc)).toBeUndefined();
  });

  it('come from the subordinate ids of "containers", first range first, until none are left', () => {
    const first = settleIdMaps(auto, [], etc)!;
    expect(first).toEqual({ uid: ['0:3000000:65536'], gid: ['0:5000000:65536'] });
    const second = settleIdMaps(auto, [first], etc)!;
    expect(second).toEqual({ uid: ['0:4000000:65536'], gid: ['0:5065536:65536'] });
    expect(() => settleIdMaps(auto, [first, second], etc)).toThrow('none are free in 3000000:70000, 4000000:65536');
    expect(settleIdMaps(config({ userMode: 'auto:size=4464' }), [first, second], missing)!.uid).toEqual([
      '0:1879048192:4464',
    ]);
    expect(settleIdMaps(auto, [second], etc)).toEqual(first);
  });

  it('come from a range of our own where nobody has subordinate ids', () => {
    const taken: IdMaps[] = [];
    for (let i = 0; i < 50; i++) taken.push(settleIdMaps(auto, taken, missing)!);
    const starts = taken.map(({ uid }) => Number(uid[0]!.split(':')[1])).sort((a, b) => a - b);
    for (let i = 1; i < starts.length; i++) expect(starts[i]! - starts[i - 1]!).toBeGreaterThanOrEqual(65536);
    const [gone] = taken.splice(10, 1);
    expect(settleIdMaps(auto, taken, missing)).toEqual(gone);
  });

  it('keep clear of what users mapped by hand', () => {
    const byHand = [{ uid: ['0:1879048192:10', '10:1879100000:65536'], gid: ['0:0:1'] }];
    const { uid, gid } = settleIdMaps(auto, byHand, missing)!;
    expect(uid).toEqual(['0:1879165536:65536']);
    expect(gid).toEqual(['0:1879048192:65536']);
  });

  it('are those of the user where given, one list standing for both', () => {
    const uidMaps = ['0:100:1'];
    expect(settleIdMaps(config({ uidMaps }), [])).toEqual({ uid: uidMaps, gid: uidMaps });
    expect(settleIdMaps(config({ gidMaps: ['0:5:1'], uidMaps, userMode: 'private' }), [])!.gid).toEqual(['0:5:1']);
    for (const userMode of ['auto', 'container:x'])
      expect(() => settleIdMaps(config({ uidMaps, userMode }), [])).toThrow(`Cannot map ids with --userns ${userMode}`);
  });

  it.each(['auto:', 'auto:size=', 'auto:size=0', 'auto:size=x', 'auto:uidmapping=0:1:2', 'auto:size=99999999999'])(
    '%s is refused',
    (userMode) => {
      expect(() => settleIdMaps(config({ userMode }), [], missing)).toThrow('Cannot read the user namespace mode');
    },
  );

  it('of another container are taken over; where it has none, it is the host', () => {
    const idMaps = { uid: ['0:7:1'], gid: ['0:8:1'] };
    const shared = config({ userMode: 'container:other' });
    expect(sharedIdMaps(shared, () => ({ idMaps }))).toEqual(idMaps);
    expect(withIdMaps({ config: shared, idMaps }).host).toMatchObject({ uidMaps: ['0:7:1'], gidMaps: ['0:8:1'] });
    expect(withIdMaps({ config: shared }).host.userMode).toBe('host');
    expect(sharedIdMaps(auto, () => ({ idMaps }))).toBeUndefined();
  });
});
