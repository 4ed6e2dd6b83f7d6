// A container with ids of its own in a guest.
import type { PlanRequest } from '../../host/plan-types.ts';
import type { Guest } from './guest.ts';

let count = 0;

/** On the disk, with a file system that can map ids: the guest's own root is a tmpfs, which cannot before Linux 6.3. */
export async function mappedOnDisk(guest: Guest): Promise<(request: PlanRequest) => void> {
  await guest.ok(
    'test -d /data/disk || { mkdir /data/disk && busybox mke2fs -q /dev/vda && mount -t ext4 /dev/vda /data/disk && cp -a /image /upper-image /data/disk/; }',
  );
  const own = `/data/disk/${count++}`;
  await guest.ok(`mkdir -p ${own}/upper ${own}/work`);
  return (request) => {
    request.container.host.uidMaps = ['0:300000:65536'];
    request.rootfs = {
      lower: ['/data/disk/upper-image', '/data/disk/image'],
      upper: `${own}/upper`,
      work: `${own}/work`,
      volatile: true,
    };
  };
}
