// Which mount a path lies in, read from mountinfo as the kernel writes it.
import { describe, expect, it } from 'vitest';
import { mountOf } from '../../host/engine/volumes/propagation.ts';

const mountinfo = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:20 / /srv rw shared:7 master:3 - tmpfs tmpfs rw
31 30 0:21 / /srv/with\\040blank rw master:9 propagate_from:2 - tmpfs tmpfs rw
32 22 0:22 / /private rw,nosuid - tmpfs tmpfs rw
33 22 0:23 / /private rw shared:8 - tmpfs covers rw
`;

describe('the mount of a path', () => {
  it.each([
    ['/etc/hosts', '/', ['shared:1']],
    ['/srv', '/srv', ['shared:7', 'master:3']],
    ['/srvother', '/', ['shared:1']],
    ['/srv/data/x', '/srv', ['shared:7', 'master:3']],
    ['/srv/with blank/x', '/srv/with blank', ['master:9', 'propagate_from:2']],
    ['/private/x', '/private', ['shared:8']],
  ])('of %s is %s', (path, point, fields) => {
    expect(mountOf(path, mountinfo)).toEqual({ point, fields });
  });

  it('may have no optional fields', () => {
    expect(mountOf('/a', '1 0 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n')).toEqual({ point: '/', fields: [] });
  });
});
