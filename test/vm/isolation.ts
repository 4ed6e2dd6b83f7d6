// What a container in a guest sees, and what the guest's kernel forbids it.
import { expect, it } from 'vitest';
import { type Containers, sh } from './containers.ts';
import type { Architecture } from './debian.ts';

const namespaces = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'];
const EPERM = 1;
const ENOSYS = 38;

export function isolationScenarios(containers: () => Containers, architecture: Architecture): void {
  const run: Containers['run'] = (...args) => containers().run(...args);

  it('has a namespace of its own of each kind but the user namespace', async () => {
    const links = `cd /proc/self/ns; for n in ${namespaces.join(' ')}; do readlink $n; done`;
    const outside = (await containers().guest.ok(links)).split('\n');
    const { output, exitCode } = await run(sh(links));
    const inside = output.trimEnd().split('\n');
    expect(exitCode).toBe(0);
    expect(namespaces.filter((_name, index) => inside[index] === outside[index])).toEqual(['user']);
  });

  it('is process 1, root of its files, with a loopback that is up', async () => {
    const { output } = await run(sh('echo $$; cat /etc/layer /etc/hosts; hostname; ip -o link; ip -o addr show lo'));
    const [pid, layer, hosts, hostname, ...links] = output.trimEnd().split('\n');
    expect([pid, layer, hosts, hostname]).toEqual(['1', 'upper', 'hosts', 'box']);
    expect(links.join('\n')).toMatch(/^1: lo: <LOOPBACK,UP/);
    expect(links.join('\n')).toContain('127.0.0.1/8');
  });

  it('writes to its own layer, not to those below', async () => {
    expect((await run(sh('echo changed > /etc/layer; rm /bin/yes; cat /etc/layer'))).output).toBe('changed\n');
    expect(await containers().guest.ok('cat /upper-image/etc/layer; test -L /image/bin/yes')).toBe('upper');
  });

  it('starts on as many layers as an image has', async () => {
    const layers = Array.from({ length: 40 }, (_, index) => `/data/layers/sha256-${'0'.repeat(48)}${index}/files`);
    await containers().guest.ok(
      layers.map((layer, index) => `mkdir -p ${layer}; echo ${index} > ${layer}/${index}`).join(';'),
    );
    const { output } = await run(sh('ls / | grep -c "^[0-9]"; cat /0 /39'), (request) => {
      request.rootfs.lower = [...layers, '/image'];
    });
    expect(output).toBe('40\n0\n39\n');
  });

  it('takes layers whose names overlayfs reads as more than names', async () => {
    const odd = '/data/a:b,c\\d';
    await containers().guest.ok(`mkdir -p '${odd}/layer' '${odd}/upper' '${odd}/work'; echo odd > '${odd}/layer/odd'`);
    const { output } = await run(sh('cat /odd; echo new > /new'), (request) => {
      request.rootfs = {
        lower: [`${odd}/layer`, '/image'],
        upper: `${odd}/upper`,
        work: `${odd}/work`,
        volatile: true,
      };
    });
    expect(output).toBe('odd\n');
    expect(await containers().guest.ok(`cat '${odd}/upper/new'`)).toBe('new');
  });

  it('has the default capabilities and a seccomp filter', async () => {
    const { output } = await run(sh('grep -E "^(CapEff|CapBnd|CapInh|Seccomp|NoNewPrivs):" /proc/self/status'));
    expect(output).toBe(
      'CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n',
    );
  });

  it('gets EPERM for what the profile forbids and ENOSYS for what it does not know', async () => {
    const calls = ['getpid', 'keyctl', 'unshare-user', 'vsock', 'personality', 'clone3', 'unknown'];
    const { output } = await run(['probe', ...calls]);
    const expected = [0, EPERM, EPERM, EPERM, EPERM, ENOSYS, ENOSYS];
    expect(output).toBe(calls.map((call, index) => `${call} ${expected[index]}\n`).join(''));
  });

  if (architecture === 'x86_64')
    it('decides the calls of i386 by their own numbers', async () => {
      const { output } = await run(['probe', 'i386-getpid', 'i386-keyctl', 'i386-unknown']);
      expect(output).toBe(`i386-getpid 0\ni386-keyctl ${EPERM}\ni386-unknown ${ENOSYS}\n`);
      const unconfined = await run(['probe', 'i386-keyctl'], (request) => {
        request.container.host.securityOpt = ['seccomp=unconfined'];
      });
      expect(unconfined.output).toBe('i386-keyctl 0\n');
    });

  it('may call what is forbidden by default where seccomp is unconfined', async () => {
    const { output } = await run(['probe', 'keyctl', 'unshare-user', 'personality'], (request) => {
      request.container.host.securityOpt = ['seccomp=unconfined'];
    });
    expect(output).toBe('keyctl 0\nunshare-user 0\npersonality 0\n');
  });

  it('filters for a user without privileges too, and without new ones', async () => {
    const { output } = await run(
      sh('id -u; id -G; grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; probe keyctl'),
      (request) => {
        request.user = { uid: 65534, gid: 65534, additionalGids: [7], home: '/' };
        request.container.host.securityOpt = ['no-new-privileges'];
      },
    );
    expect(output).toBe('65534\n65534 7\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nkeyctl 1\n');
  });

  it('sees nothing of what is masked, and cannot write to /proc/sys or /sys', async () => {
    const { output } = await run(
      sh(
        'wc -c < /proc/kcore; ls /sys/firmware; echo x > /proc/sys/kernel/domainname; echo x > /sys/kernel/mm/ksm/run',
      ),
    );
    expect(output.match(/Read-only file system/g)).toHaveLength(2);
    expect(output).toMatch(/^0\n/);
  });

  it('has a read-only root where asked', async () => {
    const { output } = await run(sh('touch /file; touch /dev/shm/file && echo shm'), (request) => {
      request.container.host.readonlyRootfs = true;
    });
    expect(output).toMatch(/\/file: Read-only file system\nshm\n$/);
  });

  it('has a clock with the offset of --time-offset', async () => {
    const { output } = await run(sh('cut -d. -f1 /proc/uptime'), (request) => {
      request.container.host.timeOffset = 'boottime=1000000';
    });
    expect(Number(output)).toBeGreaterThan(1_000_000);
  });

  it('sets sysctls, limits and tmpfs', async () => {
    const { output } = await run(sh('cat /proc/sys/kernel/msgmax; ulimit -n; df -k /scratch | tail -1'), (request) => {
      request.container.host.sysctls = { 'kernel.msgmax': '4096' };
      request.container.host.ulimits = [{ name: 'nofile', soft: 100, hard: 200 }];
      request.container.host.tmpfs = { '/scratch': 'size=1m' };
    });
    expect(output).toMatch(/^4096\n100\ntmpfs +1024 /);
  });

  it('keeps only the fds 0 to 2', async () => {
    // The fourth is that of the directory which ls reads.
    expect((await run(sh('exec ls /proc/self/fd'))).output).toBe('0\n1\n2\n3\n');
  });
}
