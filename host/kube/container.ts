// A container of a pod → the body of POST /containers/create, in docker's spelling.
import { expand, readEnvironment } from './environment.ts';
import { type Fields, invalidField } from './fields.ts';
import { LABEL, type Metadata } from './metadata.ts';
import { readQuantity } from './quantity.ts';
import { readReadiness } from './probe.ts';
import { type PodSecurity, readSecurity } from './security.ts';
import type { AllSettings } from './settings.ts';
import { type PodVolume, readMounts } from './volumes.ts';

export interface ContainerPort {
  name: string | undefined;
  /** "80/tcp". */
  port: string;
  hostPort: number | undefined;
  hostIp: string;
}

export interface PlannedContainer {
  /** Of the container in the engine: POD-NAME. */
  name: string;
  image: string;
  pull: 'always' | 'missing' | 'never';
  /** Its image must not run as root. */
  nonRoot: boolean;
  ports: ContainerPort[];
  body: Record<string, unknown>;
}

/** What all containers of a pod have in common. */
export interface PodContext {
  metadata: Metadata;
  security: PodSecurity;
  volumes: ReadonlyMap<string, PodVolume>;
  settings: AllSettings;
  labels: Record<string, string>;
  /** NetworkMode, PidMode, …: of the pod's first container, or of the host. */
  namespaces: Record<string, string>;
  restart: string;
  stopTimeout: number;
}

export function readContainer(fields: Fields, pod: PodContext): PlannedContainer {
  const name = fields.need('name');
  if (!LABEL.test(name))
    throw invalidField(fields.at('name'), `"${name}" has more than a-z, 0-9 and "-", or 63 characters`);
  const image = fields.need('image');
  const variables = readEnvironment(fields, pod.metadata, pod.settings);
  const words = (field: string): string[] | undefined => fields.texts(field)?.map((text) => expand(text, variables));
  const [entrypoint, command] = [words('command'), words('args')];
  const security = readSecurity(fields, pod.security);
  const pull = fields.word('imagePullPolicy', ['Always', 'IfNotPresent', 'Never']) ?? 'IfNotPresent';
  const ports = fields.list('ports').map(readPort);
  const stdin = fields.flag('stdin') ?? false;
  const body = {
    Image: image,
    ...(entrypoint === undefined || entrypoint.length === 0 ? {} : { Entrypoint: entrypoint }),
    ...(command === undefined || command.length === 0 ? {} : { Cmd: command }),
    Env: [...variables].map(([key, value]) => `${key}=${value}`),
    WorkingDir: fields.text('workingDir') ?? '',
    User: security.user,
    Tty: fields.flag('tty') ?? false,
    OpenStdin: stdin,
    StdinOnce: (fields.flag('stdinOnce') ?? false) && stdin,
    Labels: pod.labels,
    StopTimeout: pod.stopTimeout,
    ...readReadiness(fields),
    HostConfig: {
      ...readResources(fields),
      ...security.host,
      ...pod.namespaces,
      Mounts: readMounts(fields, pod.volumes),
      RestartPolicy: { Name: pod.restart },
    },
  };
  fields.only('terminationMessagePath', '/dev/termination-log');
  fields.only('terminationMessagePolicy', 'File');
  fields.end();
  const pulls = { Always: 'always', IfNotPresent: 'missing', Never: 'never' } as const;
  return { name: `${pod.metadata.name}-${name}`, image, pull: pulls[pull], nonRoot: security.nonRoot, ports, body };
}

function readPort(fields: Fields): ContainerPort {
  const number = fields.whole('containerPort', 1, 65535);
  if (number === undefined) throw invalidField(fields.at('containerPort'), 'it is missing');
  const protocol = fields.word('protocol', ['TCP', 'UDP']) ?? 'TCP';
  const port = {
    name: fields.text('name'),
    port: `${number}/${protocol.toLowerCase()}`,
    hostPort: fields.whole('hostPort', 1, 65535),
    hostIp: fields.text('hostIP') ?? '',
  };
  fields.end();
  return port;
}

/** As a kubelet computes them: shares of 1024 for a CPU, two at least. */
function readResources(container: Fields): Record<string, number> {
  const fields = container.child('resources');
  const [limits, requests] = [fields?.child('limits'), fields?.child('requests')];
  const of = (from: Fields | undefined, name: string): number | undefined => from && readQuantity(from, name);
  const [cpuLimit, memoryLimit] = [of(limits, 'cpu'), of(limits, 'memory')];
  const [cpu = cpuLimit, memory] = [of(requests, 'cpu'), of(requests, 'memory')];
  for (const read of [limits, requests, fields]) read?.end();
  if (fields !== undefined && memory !== undefined && memoryLimit !== undefined && memory > memoryLimit)
    throw invalidField(fields.at('requests.memory'), 'it is more than the limit');
  return {
    ...(cpuLimit === undefined ? {} : { NanoCpus: Math.round(cpuLimit * 1e9) }),
    ...(cpu === undefined ? {} : { CpuShares: Math.max(2, Math.floor(cpu * 1024)) }),
    ...(memoryLimit === undefined ? {} : { Memory: Math.ceil(memoryLimit) }),
    ...(memory === undefined ? {} : { MemoryReservation: Math.ceil(memory) }),
  };
}
