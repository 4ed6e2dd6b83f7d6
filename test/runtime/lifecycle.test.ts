// gantry-runtime called by hand: the life of a container (runtime-spec runtime.md), every error of it, and what is told.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bundles, type Config, createBundles, eventually } from '../helpers/bundles.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('gantry-runtime', () => {
  let bundles: Bundles;
  const call = (...args: string[]) => bundles.call(...args);
  const error = (...args: string[]): string => {
    const { status, stderr } = call(...args);
    expect(status, args.join(' ')).not.toBe(0);
    return stderr;
  };
  const runs = (change: (config: Config) => void) => call('run', '--bundle', bundles.bundle(change), 'once');
  /** What a shell says in a container. */
  const says = (script: string, change: (config: Config) => void = () => {}): string => {
    const ran = runs((config) => {
      config.process.args = ['sh', '-c', script];
      change(config);
    });
    expect(ran.stderr).toBe('');
    expect(ran.status).toBe(0);
    return ran.stdout.trim();
  };

  beforeAll(() => {
    bundles = createBundles();
  });
  afterAll(() => bundles.close());

  it('takes a container from created to gone, and refuses what does not fit its state', async () => {
    const bundle = bundles.bundle();
    const pidFile = join(bundles.directory, 'life.pid');
    expect(error('state', 'life')).toContain('does not exist');
    expect(error('start', 'life')).toContain('does not exist');
    expect(error('kill', 'life')).toContain('does not exist');
    expect(error('delete', 'life')).toContain('does not exist');
    expect(call('delete', '--force', 'life').status).toBe(0);
    expect(call('create', '--bundle', bundle, '--pid-file', pidFile, 'life')).toMatchObject({ status: 0, stderr: '' });
    const { pid } = bundles.state('life');
    expect(readFileSync(pidFile, 'utf8')).toBe(String(pid));
    expect(bundles.state('life')).toMatchObject({ id: 'life', status: 'created', bundle, ociVersion: '1.2.1' });
    // The program of the user does not run yet.
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('gantry-runtime');
    expect(error('create', '--bundle', bundle, 'life')).toContain('exists already');
    writeFileSync(join(bundle, 'config.json'), '{}'); // Changes behind create do nothing.
    expect(call('start', 'life')).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBe('sleep\x001000\0');
    expect(bundles.state('life').status).toBe('running');
    expect(error('start', 'life')).toContain('it is running, not created');
    expect(error('delete', 'life')).toContain('it is running, not stopped');
    expect(error('resume', 'life')).toContain('it is running, not paused');
    expect(call('pause', 'life').status).toBe(0);
    expect(bundles.state('life').status).toBe('paused');
    expect(error('exec', 'life', 'true')).toContain('paused');
    expect(call('resume', 'life').status).toBe(0);
    expect(call('kill', 'life', 'KILL').status).toBe(0);
    await eventually(() => bundles.state('life').status === 'stopped', 'stopped');
    expect(bundles.state('life').pid).toBe(0);
    expect(error('kill', 'life')).toContain('not running');
    expect(error('start', 'life')).toContain('it is stopped, not created');
    expect(error('exec', 'life', 'true')).toContain('it is stopped, not running');
    expect(call('delete', 'life').status).toBe(0);
    expect(error('state', 'life')).toContain('does not exist');
    expect(JSON.parse(call('list', '--format', 'json').stdout)).toEqual([]);
  });

  it('deletes what was never started, and by force what runs or is paused', () => {
    for (const steps of [[], ['start'], ['start', 'pause']]) {
      expect(call('create', '--bundle', bundles.bundle(), 'forced').status).toBe(0);
      for (const step of steps) expect(call(step, 'forced').status).toBe(0);
      const { pid } = bundles.state('forced');
      expect(call('delete', ...(steps.length > 0 ? ['--force'] : []), 'forced')).toMatchObject({
        status: 0,
        stderr: '',
      });
      expect(existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBeFalsy();
    }
  });

  it('runs in the foreground with the status of the program, and leaves nothing', () => {
    expect(runs((config) => (config.process.args = ['sh', '-c', 'exit 7'])).status).toBe(7);
    expect(call('list', '--quiet').stdout).toBe('');
  });

  it('runs further processes', () => {
    call('create', '--bundle', bundles.bundle(), 'more');
    call('start', 'more');
    const ran = call(
      'exec',
      '--env',
      'A=b',
      '--cwd',
      '/tmp',
      '--user',
      '1000:7',
      'more',
      'sh',
      '-c',
      'echo $A $PWD; id; exit 3',
    );
    expect(ran).toMatchObject({ status: 3, stderr: '' });
    expect(ran.stdout).toBe('b /tmp\nuid=1000(user) gid=7\n');
    expect(bundles.callWith('fed\n', {}, 'exec', 'more', 'cat').stdout).toBe('fed\n');
    expect(error('exec', 'more', 'absent')).toContain('executable file not found in $PATH');
    expect(call('exec', 'more', 'sh', '-c', 'kill -9 $$').status).toBe(137);
    const file = join(bundles.directory, 'process.json');
    writeFileSync(file, JSON.stringify({ args: ['sh', '-c', 'echo $0 $HOME'], cwd: '/', user: { uid: 0, gid: 0 } }));
    expect(call('exec', '--process', file, 'more').stdout).toBe('sh /root\n');
    const pidFile = join(bundles.directory, 'exec.pid');
    expect(call('exec', '--detach', '--pid-file', pidFile, 'more', 'sleep', '999').status).toBe(0);
    const detached = Number(readFileSync(pidFile, 'utf8'));
    expect(JSON.parse(call('ps', '--format', 'json', 'more').stdout)).toEqual([bundles.state('more').pid, detached]);
    expect(call('ps', 'more').stdout).toContain('sleep 999');
    expect(call('kill', '--all', 'more', 'KILL').status).toBe(0);
    call('delete', '--force', 'more');
  });

  it('has no descriptor of the host in reach while it enters (CVE-2024-21626)', () => {
    const links = Array.from({ length: 40 }, (_value, index) => `ln -s /proc/self/fd/${index + 3} /tmp/fd${index + 3}`);
    call(
      'create',
      '--bundle',
      bundles.bundle((config) => (config.process.args = ['sh', '-c', `${links.join(';')}; sleep 1000`])),
      'held',
    );
    call('start', 'held');
    for (let fd = 3; fd < 43; fd++) {
      const ran = call('exec', '--cwd', `/tmp/fd${fd}`, 'held', '/bin/sh', '-c', 'echo in');
      expect(ran.stdout, `fd ${fd}`).toBe('');
      expect(ran.status).not.toBe(0);
    }
    call('delete', '--force', 'held');
  });

  it('changes limits, and tells what is used', () => {
    call('create', '--bundle', bundles.bundle(), 'limits');
    call('start', 'limits');
    expect(call('update', '--memory', '64m', '--pids-limit', '11', '--cpu-share', '512', 'limits')).toMatchObject({
      status: 0,
    });
    const stats = JSON.parse(call('events', '--stats', 'limits').stdout);
    expect(stats).toMatchObject({ type: 'stats', id: 'limits' });
    expect(stats.data.memory.usage.limit).toBe(64 * 2 ** 20);
    expect(stats.data.pids).toEqual({ current: 1, limit: 11 });
    const resources = JSON.stringify({ pids: { limit: -1 }, memory: { limit: 96 * 2 ** 20 } });
    expect(bundles.callWith(resources, {}, 'update', '--resources', '-', 'limits').status).toBe(0);
    expect(JSON.parse(call('events', '--stats', 'limits').stdout).data.memory.usage.limit).toBe(96 * 2 ** 20);
    expect(error('update', 'limits')).toContain('no limit is given');
    call('delete', '--force', 'limits');
  });

  it('carries out what a spec may ask for', () => {
    expect(
      says('cat /proc/self/oom_score_adj; umask; ulimit -n', (config) => {
        config.process.oomScoreAdj = 77;
        config.process.user.umask = 0o27;
        config.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 50, hard: 60 }];
      }),
    ).toBe('77\n0027\n50');
    expect(
      says('mkdir -p /tmp/a; cat /tmp/a/kept; ls /etc2', (config) => {
        writeFileSync(join(bundles.directory, 'rootfs/tmp/kept'), 'kept\n');
        config.mounts.push(
          {
            destination: '/tmp/a',
            type: 'bind',
            source: join(bundles.directory, 'rootfs/tmp'),
            options: ['rbind', 'ro'],
          },
          { destination: 'etc2', type: 'none', source: '/usr/share/doc', options: ['bind', 'rprivate', 'rnosuid'] },
        );
      }),
    ).toMatch(/^kept\n/);
    expect(
      says('ls /var/www; touch /var/www/new; cat /proc/self/mountinfo', (config) => {
        config.mounts.push({
          destination: '/var/www',
          type: 'tmpfs',
          source: 'tmpfs',
          options: ['tmpcopyup', 'size=1m'],
        });
        config.linux.rootfsPropagation = 'shared';
      }),
    ).toMatch(/^index\.html\n.*rootfs \/ rw[^\n]* shared:/s);
    expect(
      says('stat -c %u /mapped/kept', (config) => {
        const mapping = [{ containerID: 0, hostID: 4242, size: 100 }];
        config.mounts.push({
          ...{ destination: '/mapped', type: 'bind', source: join(bundles.directory, 'rootfs/tmp'), options: ['bind'] },
          ...{ uidMappings: mapping, gidMappings: mapping },
        });
      }),
    ).toBe('4242');
    expect(
      says('id -u; cat /proc/self/uid_map; touch /proc/self/comm && echo mine', (config) => {
        const mappings = [
          { containerID: 0, hostID: 0, size: 1000 },
          { containerID: 1000, hostID: 100000, size: 1000 },
        ];
        config.linux.namespaces.push({ type: 'user' });
        Object.assign(config.linux, { uidMappings: mappings, gidMappings: mappings });
      }).split(/\s+/),
    ).toEqual('0 0 0 1000 1000 100000 1000 mine'.split(' '));
    expect(
      says('busybox cut -d" " -f19 /proc/self/stat; ls -l /dev/lift | busybox cut -c1', (config) => {
        config.process.scheduler = { policy: 'SCHED_BATCH', nice: 5 };
        config.process.ioPriority = { class: 'IOPRIO_CLASS_IDLE', priority: 0 };
        config.linux.devices = [{ path: '/dev/lift', type: 'c', major: 10, minor: 229, fileMode: 0o600 }];
      }),
    ).toBe('5\nc');
    const joined = says('readlink /proc/self/ns/net; hostname', (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => type !== 'network');
      config.linux.namespaces.push({ type: 'network', path: '/proc/self/ns/net' });
    });
    expect(joined).toMatch(/^net:\[\d+\]\ngantry$/);
    expect(says('echo in', (config) => Object.assign(config, { annotations: { a: 'b' } }))).toBe('in');
    const bundle = bundles.bundle((config) => (config.process.args = ['echo', 'moved']));
    expect(call('run', '--no-pivot', '--no-new-keyring', '--bundle', bundle, 'once').stdout).toBe('moved\n');
  });

  it.each<[string, (config: Config) => void, string]>([
    ['the class of cache of intelRdt', (config) => (config.linux.intelRdt = { closID: 'x' }), '"linux.intelRdt"'],
    ['a label', (config) => (config.process.selinuxLabel = 'system_u:x'), '"process.selinuxLabel"'],
    ['a personality', (config) => (config.linux.personality = { domain: 'LINUX32' }), '"linux.personality"'],
    ['a network device', (config) => (config.linux.netDevices = { eth0: {} }), '"linux.netDevices"'],
    ["systemd's cgroups", (config) => (config.linux.cgroupsPath = 'a.slice:b:c'), 'does not ask systemd'],
    ['a version of its own', (config) => (config.ociVersion = '7.0'), 'ociVersion'],
    ['no program', (config) => (config.process.args = []), 'no command'],
    ['a program that is not there', (config) => (config.process.args = ['/nowhere']), 'no such file or directory'],
    ['a program that is none', (config) => (config.process.args = ['/etc/passwd']), 'permission denied'],
    ['a directory that is not absolute', (config) => (config.process.cwd = 'x'), 'must be absolute'],
    ['a namespace twice', (config) => config.linux.namespaces.push({ type: 'pid' }), 'twice'],
    ['an unknown namespace', (config) => config.linux.namespaces.push({ type: 'x' }), 'no namespace is called "x"'],
    ["the host's mounts", (config) => (config.linux.namespaces = [{ type: 'pid' }]), 'no mount namespace'],
    [
      'a sysctl of the host',
      (config) => (config.linux.sysctl = { 'vm.swappiness': '1' }),
      'would change the whole host',
    ],
    [
      'an option that binds do not have',
      (config) => config.mounts.push({ destination: '/x', source: '/', type: 'bind', options: ['size=1'] }),
      'no option "size=1"',
    ],
    ['a terminal that nobody takes', (config) => (config.process.terminal = true), 'nobody takes the terminal'],
    [
      'a listener that is not given',
      (config) =>
        (config.linux.seccomp = {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }],
        }),
      'needs a listener',
    ],
  ])('refuses %s, by name, and leaves nothing', (_name, change, told) => {
    expect(error('create', '--bundle', bundles.bundle(change), 'refused')).toContain(told);
    expect(error('state', 'refused')).toContain('does not exist');
  });

  it('refuses words that it does not know, and says why in the log of the caller', () => {
    expect(error('--nope', 'list')).toContain('no such option');
    expect(error('create', '--nope', 'x')).toContain('no such option of create');
    expect(error('dance')).toContain('no such command');
    expect(error('checkpoint', 'x')).toContain('does not checkpoint');
    expect(error('create')).toContain('ID is missing');
    expect(error('create', '--bundle', bundles.bundle(), '../x')).toContain('as ID');
    expect(error('--systemd-cgroup', 'list')).toContain('systemd');
    expect(error('create', '--bundle', '/nowhere', 'x')).toContain('Cannot enter the bundle');
    const log = join(bundles.directory, 'log.json');
    error('--log', log, '--log-format', 'json', 'state', 'ab"sent'.replace('"', ''));
    const [line = ''] = readFileSync(log, 'utf8').split('\n');
    expect(JSON.parse(line)).toMatchObject({
      level: 'error',
      msg: expect.stringContaining('container does not exist'),
    });
    expect(JSON.parse(line).time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const unknown = bundles.bundle((config) => {
      config.linux.wings = 2;
      config.process.args = ['true'];
    });
    expect(call('--log', log, '--log-format', 'json', 'run', '--bundle', unknown, 'warned').status).toBe(0);
    expect(readFileSync(log, 'utf8')).toContain('"linux.wings\\" of config.json is not known');
  });

  it('tells what it can', () => {
    const features = JSON.parse(call('features').stdout);
    expect(features).toMatchObject({
      ociVersionMin: '1.0.0',
      linux: { cgroup: { v1: true, v2: true, systemd: false } },
    });
    for (const option of ['rbind', 'rro', 'idmap', 'tmpcopyup']) expect(features.mountOptions).toContain(option);
    expect(call('--version').stdout).toMatch(/^gantry-runtime version .+\nspec: 1\.2\.1\n$/);
  });
});
