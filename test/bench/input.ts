// The container that is measured: default isolation, limits on memory, CPU and processes.
import type { ContainerInput } from '../../host/engine/merge.ts';
import { plainHostConfig } from '../../host/engine/plain-host-config.ts';

export function containerInput(networkMode: string): ContainerInput {
  return {
    image: 'box',
    command: ['true'],
    env: [],
    workingDir: '',
    user: '',
    hostname: '',
    domainname: '',
    tty: false,
    openStdin: false,
    stdinOnce: false,
    attachStdin: false,
    attachStdout: true,
    attachStderr: true,
    labels: {},
    exposedPorts: [],
    volumes: [],
    stopSignal: '',
    host: plainHostConfig({
      autoRemove: true,
      resources: { memory: 64 * 1024 ** 2, pidsLimit: 100, nanoCpus: 1e9 },
      networkMode,
    }),
  };
}
