// The host's part of a container that asks for nothing: what docker's client sends without a flag.
import type { HostConfig } from '../types.ts';

/** A new one each time: callers change it. */
export function plainHostConfig(given: Partial<HostConfig> = {}): HostConfig {
  return {
    autoRemove: false,
    resources: {},
    mounts: [],
    volumesFrom: [],
    networkMode: 'none',
    ports: [],
    publishAllPorts: false,
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    extraHosts: [],
    restartPolicy: { name: 'no', maximumRetryCount: 0 },
    capAdd: [],
    capDrop: [],
    privileged: false,
    readonlyRootfs: false,
    securityOpt: [],
    tmpfs: {},
    init: false,
    ulimits: [],
    devices: [],
    sysctls: {},
    pidMode: '',
    ipcMode: '',
    utsMode: '',
    userMode: '',
    cgroupMode: '',
    cgroupParent: '',
    oomScoreAdj: 0,
    logConfig: { type: 'json-file', config: {} },
    ...given,
  };
}
