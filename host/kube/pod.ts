// A Pod → containers that share namespaces: the first one, which only holds them, then those that initialise, then the others.
import { type ContainerPort, type PlannedContainer, type PodContext, readContainer } from './container.ts';
import { type Fields, invalidField } from './fields.ts';
import type { Metadata } from './metadata.ts';
import { readPodSecurity } from './security.ts';
import type { AllSettings } from './settings.ts';
import { type HostPath, type PlannedVolume, readVolumes } from './volumes.ts';

/** Label of whatever belongs to a pod: its name. */
export const POD_LABEL = 'gantry.kube.pod';
/** Label of what belongs to a Deployment, too: its name. */
export const DEPLOYMENT_LABEL = 'gantry.kube.deployment';
/** The network of pods, where they find one another by name. */
export const POD_NETWORK = 'gantry-kube';
/** Where the first container has a pod's volumes. */
export const VOLUMES_PATH = '/volumes';

/** What the file decides of the container that holds a pod's namespaces. */
interface InfraShape {
  Hostname: string;
  HostConfig: Record<string, unknown>;
}

export interface PlannedPod {
  name: string;
  /** Of the file: Services choose by them. */
  labels: Record<string, string>;
  /** Of its containers. */
  marks: Record<string, string>;
  /** The Deployment whose it is. */
  owner: string | undefined;
  shape: InfraShape;
  /** Its names in the network of pods. */
  aliases: string[];
  inits: PlannedContainer[];
  containers: PlannedContainer[];
  volumes: PlannedVolume[];
  hostPaths: HostPath[];
  ports: ContainerPort[];
  /** None where the pod has the host's network. */
  network: boolean;
}

const restarts = { Always: 'always', OnFailure: 'on-failure', Never: 'no' } as const;

export function readPod(spec: Fields, metadata: Metadata, settings: AllSettings, owner?: string): PlannedPod {
  const { name } = metadata;
  const infraName = `${name}-infra`;
  const restart = restarts[spec.word('restartPolicy', ['Always', 'OnFailure', 'Never']) ?? 'Always'];
  const volumes = readVolumes(spec, name, settings);
  const [hostNetwork, hostPid, hostIpc] = ['hostNetwork', 'hostPID', 'hostIPC'].map(
    (field) => spec.flag(field) ?? false,
  );
  const shared = spec.flag('shareProcessNamespace') ?? false;
  if (shared && hostPid) throw invalidField(spec.at('shareProcessNamespace'), 'it conflicts with hostPID');
  const holder = `container:${infraName}`;
  const labels = {
    ...metadata.labels,
    [POD_LABEL]: name,
    ...(owner === undefined ? {} : { [DEPLOYMENT_LABEL]: owner }),
  };
  const context: PodContext = {
    metadata,
    security: readPodSecurity(spec),
    volumes,
    settings,
    labels,
    namespaces: {
      NetworkMode: hostNetwork ? 'host' : holder,
      IpcMode: hostIpc ? 'host' : holder,
      ...(hostNetwork ? {} : { UTSMode: holder }),
      ...(hostPid ? { PidMode: 'host' } : shared ? { PidMode: holder } : {}),
    },
    restart,
    stopTimeout: spec.whole('terminationGracePeriodSeconds') ?? 30,
  };
  const inits = spec.list('initContainers').map((fields) => readContainer(fields, { ...context, restart: 'no' }));
  const containers = spec.list('containers').map((fields) => readContainer(fields, context));
  if (containers.length === 0) throw invalidField(spec.at('containers'), 'it is missing');
  const all = [...inits, ...containers];
  const names = [infraName, ...all.map((one) => one.name)];
  const twice = names.find((one, index) => names.indexOf(one) !== index);
  if (twice !== undefined) throw invalidField(spec.at('containers'), `two containers are named "${twice}"`);
  const ports = all.flatMap((one) => one.ports);
  for (const { port, hostPort } of ports)
    if (hostNetwork && hostPort !== undefined && !port.startsWith(`${hostPort}/`))
      throw invalidField(spec.at('hostNetwork'), `hostPort ${hostPort} differs from containerPort ${port}`);
  const named = [...volumes.values()].flatMap(({ volume }) => (volume === undefined ? [] : [volume]));
  const hostname = spec.text('hostname');
  if (hostNetwork && hostname !== undefined)
    spec.refuse('hostname', "not carried out with hostNetwork: it is the host's");
  const shape: InfraShape = {
    Hostname: hostNetwork ? '' : (hostname ?? name).slice(0, 63),
    HostConfig: {
      NetworkMode: hostNetwork ? 'host' : POD_NETWORK,
      IpcMode: hostIpc ? 'host' : 'shareable',
      ...(hostPid ? { PidMode: 'host' } : {}),
      Annotations: metadata.annotations,
      ...readNames(spec),
      Sysctls: context.security.sysctls,
      RestartPolicy: { Name: restart === 'no' ? 'no' : 'always' },
    },
  };
  spec.only('schedulerName', 'default-scheduler');
  spec.only('enableServiceLinks', false, true);
  spec.only('automountServiceAccountToken', false);
  spec.only('setHostnameAsFQDN', false);
  spec.only('hostUsers', true);
  spec.end();
  return {
    name,
    labels: metadata.labels,
    marks: labels,
    shape,
    aliases: [name],
    owner,
    inits,
    containers,
    volumes: named,
    hostPaths: [...volumes.values()].flatMap(({ host }) => (host === undefined ? [] : [host])),
    ports,
    network: !hostNetwork,
  };
}

/** The container that holds the pod's namespaces, and its volumes. */
export function infraOf({ name, marks, shape, aliases, ports, volumes, network }: PlannedPod): PlannedContainer {
  const image = 'gantry/hello';
  return {
    name: `${name}-infra`,
    image,
    pull: 'missing',
    nonRoot: false,
    ports: [],
    body: {
      Image: image,
      Cmd: ['/hello', 'hold'],
      Hostname: shape.Hostname,
      Labels: marks,
      StopTimeout: 1,
      ExposedPorts: network ? Object.fromEntries(ports.map(({ port }) => [port, {}])) : {},
      HostConfig: {
        ...shape.HostConfig,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        PortBindings: network ? bindingsOf(ports) : {},
        Mounts: volumes.map((volume) => ({
          Type: 'volume',
          Source: volume.name,
          Target: `${VOLUMES_PATH}/${volume.name}`,
          VolumeOptions: { NoCopy: true },
        })),
      },
      NetworkingConfig: network ? { EndpointsConfig: { [POD_NETWORK]: { Aliases: aliases } } } : {},
    },
  };
}

function bindingsOf(ports: ContainerPort[]): Record<string, object[]> {
  const bindings: Record<string, object[]> = {};
  for (const { port, hostPort, hostIp } of ports)
    if (hostPort !== undefined)
      bindings[port] = [...(bindings[port] ?? []), { HostIp: hostIp, HostPort: String(hostPort) }];
  return bindings;
}

/** hostAliases and dnsConfig. */
function readNames(spec: Fields): object {
  const hosts = spec.list('hostAliases').flatMap((alias) => {
    const ip = alias.need('ip');
    const names = alias.texts('hostnames') ?? [];
    alias.end();
    return names.map((host) => `${host}:${ip}`);
  });
  spec.only('dnsPolicy', 'ClusterFirst', 'Default', 'ClusterFirstWithHostNet');
  const dns = spec.child('dnsConfig');
  const names = {
    ExtraHosts: hosts,
    Dns: dns?.texts('nameservers') ?? [],
    DnsSearch: dns?.texts('searches') ?? [],
    DnsOptions: (dns?.list('options') ?? []).map((option) => {
      const [name, value] = [option.need('name'), option.text('value')];
      option.end();
      return value === undefined ? name : `${name}:${value}`;
    }),
  };
  dns?.end();
  return names;
}
