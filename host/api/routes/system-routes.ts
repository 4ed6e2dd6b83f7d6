// /_ping, /version, /info.
import { arch, cpus, hostname, release, totalmem } from 'node:os';
import { layersText } from '../../engine/doctor.ts';
import type { Engine } from '../../engine/engine.ts';
import { type Call, type Route, sendJson } from '../http.ts';
import { API_VERSION, API_VERSION_MIN } from '../versions.ts';

export const VERSION = '0.1.0';

const architecture = arch() === 'x64' ? 'amd64' : arch();

export function systemRoutes(engine: Engine): Route[] {
  const ping = ({ response, method }: Call): void => {
    response.writeHead(200, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-cache, no-store, must-revalidate',
      pragma: 'no-cache',
      // "2" would be BuildKit.
      'builder-version': '1',
      swarm: 'inactive',
      'content-length': 2,
    });
    response.end(method === 'HEAD' ? undefined : 'OK');
  };

  const version = (call: Call): void => {
    const common = {
      Version: VERSION,
      ApiVersion: API_VERSION,
      MinAPIVersion: API_VERSION_MIN,
      Os: 'linux',
      Arch: architecture,
      KernelVersion: release(),
    };
    sendJson(call, {
      Platform: { Name: 'gantry' },
      Components: [
        { Name: 'Engine', Version: VERSION, Details: { ApiVersion: API_VERSION, Arch: architecture, Os: 'linux' } },
      ],
      ...common,
      GitCommit: '',
      GoVersion: '',
      BuildTime: '',
    });
  };

  const info = async (call: Call): Promise<void> => {
    const all = engine.list();
    const count = (...states: string[]): number =>
      all.filter(({ record }) => states.includes(record.state.status)).length;
    const facts = await engine.backend.facts();
    const has = (controller: string): boolean => facts.cgroup.controllers.includes(controller);
    sendJson(call, {
      ID: 'gantry',
      Name: hostname(),
      ServerVersion: VERSION,
      Containers: all.length,
      ContainersRunning: count('running', 'restarting'),
      ContainersPaused: count('paused'),
      ContainersStopped: count('exited', 'created', 'dead'),
      Images: (await engine.images.list()).length,
      Driver: 'overlayfs',
      DriverStatus: [['Layers', layersText(await engine.images.layerFormat())]],
      DockerRootDir: engine.paths.dataRoot,
      Plugins: {
        Volume: ['local'],
        Network: ['bridge', 'host', 'null'],
        Authorization: null,
        Log: ['json-file', 'local', 'none'],
      },
      MemoryLimit: has('memory'),
      SwapLimit: facts.swapAccounting,
      CpuCfsPeriod: has('cpu'),
      CpuCfsQuota: has('cpu'),
      CPUShares: has('cpu'),
      CPUSet: has('cpuset'),
      PidsLimit: has('pids'),
      IPv4Forwarding: true,
      OomKillDisable: facts.cgroup.layout !== 'v2',
      NFd: 0,
      NGoroutines: 0,
      SystemTime: new Date().toISOString(),
      LoggingDriver: 'json-file',
      CgroupDriver: 'cgroupfs',
      CgroupVersion: facts.cgroup.layout === 'v2' ? '2' : '1',
      NEventsListener: engine.events.listeners,
      KernelVersion: release(),
      OperatingSystem: 'gantry',
      OSVersion: '',
      OSType: 'linux',
      Architecture: facts.architecture,
      IndexServerAddress: 'https://index.docker.io/v1/',
      RegistryConfig: { IndexConfigs: {}, InsecureRegistryCIDRs: ['127.0.0.0/8', '::1/128'], Mirrors: [] },
      NCPU: cpus().length,
      MemTotal: totalmem(),
      GenericResources: null,
      HttpProxy: '',
      HttpsProxy: '',
      NoProxy: '',
      Labels: [],
      ExperimentalBuild: false,
      Runtimes: { gantry: { path: 'gantry' } },
      DefaultRuntime: 'gantry',
      Swarm: {
        LocalNodeState: 'inactive',
        ControlAvailable: false,
        NodeID: '',
        NodeAddr: '',
        Error: '',
        RemoteManagers: null,
      },
      LiveRestoreEnabled: true,
      Isolation: '',
      InitBinary: 'gantry-executor',
      SecurityOptions: [
        ...(facts.features.includes('apparmor') ? ['name=apparmor'] : []),
        'name=seccomp,profile=builtin',
        'name=cgroupns',
      ],
      Warnings: engine.damaged.length > 0 ? engine.damaged : null,
    });
  };

  return [
    { method: 'GET', path: '/_ping', handler: ping },
    { method: 'HEAD', path: '/_ping', handler: ping },
    { method: 'GET', path: '/version', handler: version },
    { method: 'GET', path: '/info', handler: info },
  ];
}
