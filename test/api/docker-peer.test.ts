// The same containers on docker's own engine: what both tell of them, key by key. What differs is listed with its reason.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Docker, startDocker } from '../bench/docker.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
const why =
  whyNoContainers() || (existsSync('/usr/sbin/dockerd') && client ? '' : 'dockerd and its client are not installed');
if (why) console.log(`Not compared with docker's engine: ${why}`);

/** Flags of docker run; each set is one container. */
const cases: Record<string, string[]> = {
  plain: [],
  terminal: ['-t', '-i', '-h', 'name', '--domainname', 'domain'],
  limits: ['-m', '64m', '--memory-reservation', '32m', '--cpus', '0.5', '--pids-limit', '50', '--oom-score-adj', '100'],
  cpus: ['--cpu-shares', '512', '--cpuset-cpus', '0', '--cpu-period', '50000', '--cpu-quota', '25000'],
  mounts: [
    ...['-v', '/usr/bin:/bind:ro', '-v', 'data:/data', '-v', '/anonymous', '--tmpfs', '/t:size=1m'],
    ...['--mount', 'type=bind,src=/usr/bin,dst=/m,readonly'],
    ...['--mount', 'type=volume,src=data,dst=/d,volume-nocopy,volume-label=a=b'],
    ...['--mount', 'type=tmpfs,dst=/u,tmpfs-size=1m,tmpfs-mode=1770'],
  ],
  ports: ['--expose', '90/udp', '-l', 'x=y', '-l', 'z', '-e', 'A=b'],
  rights: ['--cap-add', 'NET_ADMIN', '--cap-drop', 'CHOWN', '--security-opt', 'no-new-privileges', '--read-only'],
  user: ['-u', '1000:1000', '-w', '/tmp', '--group-add', '2000', '--ulimit', 'nofile=100:200', '--shm-size', '1m'],
  names: ['--add-host', 'a:192.0.2.4', '--dns', '192.0.2.1', '--dns-search', 'x.y', '--dns-option', 'ndots:2'],
  ends: ['--restart', 'on-failure:3', '--stop-signal', 'SIGINT', '--stop-timeout', '3', '--init'],
  shared: ['--pid', 'host', '--ipc', 'private', '--uts', 'host', '--sysctl', 'net.ipv4.ip_unprivileged_port_start=5'],
  logs: ['--log-driver', 'json-file', '--log-opt', 'max-size=1m', '--log-opt', 'max-file=2'],
  health: ['--health-cmd', 'true', '--health-interval', '90s', '--health-retries', '2'],
  devices: ['--device', '/dev/null:/dev/nothing:r', '--device-cgroup-rule', 'c 1:3 r', '--rm'],
};

/** Path → why it differs. Of a key with objects below it, all of them. */
const intended: [RegExp, string][] = [
  [/^(Id|Created|State\.(Pid|StartedAt|Health\..*))$/, 'of this very container'],
  [/^(Image|ImageID)$/, 'the ID of an image is the digest of the same configuration, written by the older engine anew'],
  [/^(ResolvConfPath|HostnamePath|HostsPath|LogPath)$/, 'files lie elsewhere'],
  [/^(Driver|GraphDriver)(\.|$)/, 'layers lie otherwise on the disk'],
  [/^Mounts\[\d+\]\.(Name|Source)$/, 'volumes lie elsewhere, and anonymous ones have random names'],
  [/^NetworkSettings\.(SandboxID|SandboxKey|Networks\.none\.)/, 'there is no sandbox beside the namespace'],
  [/^Config\.Hostname$/, 'the beginning of the ID'],
  [/^Config\.(StopSignal|WorkingDir)$/, 'what is in force is told, also where it is the default'],
  [/^HostConfig\.(Runtime|CgroupParent)$/, 'gantry is its own runtime; the peer has a cgroup of its own'],
  [/^HostConfig\.CgroupnsMode$/, 'private on cgroup v1, too'],
  [/^HostConfig\.KernelMemory(TCP)?$/, 'gone from the API since 1.42'],
  [/^HostConfig\.(MaskedPaths|ReadonlyPaths)$/, 'the newer engine masks more'],
  [/^HostConfig\.Mounts\[\d+\]\.VolumeOptions\.DriverConfig$/, 'an empty one says nothing'],
  [/^HostConfig\.SecurityOpt$/, 'labels that nobody asked for are not told'],
];

type Flat = Record<string, string>;

function flat(value: unknown, path = '', found: Flat = {}): Flat {
  if (Array.isArray(value) && typeof value[0] === 'object')
    for (const [index, item] of value.entries()) flat(item, `${path}[${index}]`, found);
  else if (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0)
    for (const [key, item] of Object.entries(value)) flat(item, path === '' ? key : `${path}.${key}`, found);
  // The client sends binds in any order, and variables of the image stand first or last.
  else found[path] = JSON.stringify(Array.isArray(value) && /\.(Binds|Env)$/.test(path) ? value.toSorted() : value);
  return found;
}

describe.skipIf(why)("beside docker's engine", () => {
  const here = createInstallation();
  let docker: Docker | undefined;
  const sockets = (): string[] => [docker!.host.slice('unix://'.length), here.socket];
  const get = (socket: string, path: string): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      request({ socketPath: socket, path: `/v1.41${path}` }, (answer) => {
        let text = '';
        answer.on('data', (chunk) => {
          text += chunk;
        });
        answer.once('end', () => resolve(JSON.parse(text) as Record<string, unknown>));
      })
        .once('error', reject)
        .end();
    });
  const both = (...args: string[]): void => {
    for (const socket of sockets()) {
      const env = { ...here.env, DOCKER_HOST: `unix://${socket}` };
      const { status, stderr } = spawnSync(client!, args, { encoding: 'utf8', env, timeout: 60_000 });
      if (status !== 0) throw new Error(`docker ${args.join(' ')} at ${socket}: ${stderr}`);
    }
  };
  const sorted = (answer: Record<string, unknown>): Record<string, unknown> => ({
    ...answer,
    Mounts: (answer.Mounts as { Destination: string }[]).toSorted((a, b) => (a.Destination < b.Destination ? -1 : 1)),
  });

  beforeAll(async () => {
    await here.ok('info');
    const tree = busyboxTree();
    const config = { ExposedPorts: { '9000/tcp': {} }, Labels: { image: 'yes' }, Volumes: { '/image': {} } };
    const archive = makeArchive(tree, 'box:latest', { config });
    docker = await startDocker(archive, (text) => console.log(text));
    await here.ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  }, 60_000);
  afterAll(async () => {
    for (const name of Object.keys(cases))
      if (docker) spawnSync(client!, ['rm', '-fv', name], { env: { ...here.env, DOCKER_HOST: docker.host } });
    await docker?.close();
    await here.close();
  }, 60_000);

  it.each(Object.keys(cases))('inspect tells the same: %s', async (name) => {
    both('run', '-d', '--name', name, '--network', 'none', ...cases[name]!, 'box', 'sleep', '1000');
    const [theirs = {}, ours = {}] = (
      await Promise.all(sockets().map((socket) => get(socket, `/containers/${name}/json`)))
    ).map((answer) => flat(sorted(answer)));
    const different = [...new Set([...Object.keys(theirs), ...Object.keys(ours)])].filter(
      (path) => theirs[path] !== ours[path] && !intended.some(([pattern]) => pattern.test(path)),
    );
    // Newer fields may be there, no older one may be missing.
    const table = different
      .filter((path) => path in theirs || !/^NetworkSettings\.Networks|Health/.test(path))
      .map((path) => `${path}: docker ${theirs[path]}, gantry ${ours[path]}`);
    expect(table).toEqual([]);
  });

  it('lists and counters have the same keys', async () => {
    const query = encodeURIComponent(JSON.stringify({ name: ['^/limits$'] }));
    const keys = (value: unknown): string[] => Object.keys(flat(value)).map((path) => path.replace(/\[\d+\]/g, '[]'));
    for (const path of [
      `/containers/json?filters=${query}`,
      '/containers/limits/stats?stream=false',
      '/containers/limits/stats?stream=false&one-shot=true',
    ]) {
      const [theirs, ours] = await Promise.all(sockets().map((socket) => get(socket, path)));
      const missing = keys(theirs).filter((key) => !keys(ours).includes(key));
      expect([path, missing]).toEqual([path, []]);
      if (!path.includes('stats')) continue;
      // failcnt is left out where it is zero.
      const more = keys(ours).filter((key) => !keys(theirs).includes(key) && key !== 'memory_stats.failcnt');
      expect([path, more]).toEqual([path, []]);
    }
  });

  it.each([[[]], [['-o', 'pid,args']], [['aux']]])('top %j has the same columns and programs', async (options) => {
    const query = options.length > 0 ? `?ps_args=${encodeURIComponent(options.join(' '))}` : '';
    const [theirs, ours] = (await Promise.all(
      sockets().map((socket) => get(socket, `/containers/plain/top${query}`)),
    )) as { Titles: string[]; Processes: string[][] }[];
    expect(ours!.Titles).toEqual(theirs!.Titles);
    expect(ours!.Processes.map((row) => row.at(-1))).toEqual(theirs!.Processes.map((row) => row.at(-1)));
  });
});
