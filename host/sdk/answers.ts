// What the engine says of containers, images, networks, volumes and events, in JavaScript's spelling.

/** One of `health`'s states; `'none'` where the container has no health check. */
export type HealthStatus = 'none' | 'starting' | 'healthy' | 'unhealthy';

/** A published port, as it is. */
export interface PublishedPort {
  containerPort: number;
  protocol: string;
  hostIp: string;
  hostPort: number;
}

/** A container's place in a network. */
export interface NetworkPlace {
  networkId: string;
  ipAddress: string;
  ipv6Address: string;
  macAddress: string;
  gateway: string;
  aliases: string[];
}

/** A container as it is now. */
export interface ContainerDetails {
  id: string;
  name: string;
  /** As it was named when the container was made. */
  image: string;
  imageId: string;
  created: Date;
  status: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';
  running: boolean;
  exitCode: number;
  oomKilled: boolean;
  /** Why it could not start. */
  error: string;
  /** 0 where it does not run. */
  pid: number;
  startedAt: Date | undefined;
  finishedAt: Date | undefined;
  health: HealthStatus;
  restartCount: number;
  env: Record<string, string>;
  labels: Record<string, string>;
  ports: PublishedPort[];
  networks: Record<string, NetworkPlace>;
  mounts: { type: string; name: string; source: string; target: string; readOnly: boolean }[];
  /** All that the engine said, in Docker's spelling. */
  raw: Record<string, unknown>;
}

/** A container in a list. */
export interface ContainerSummary {
  id: string;
  name: string;
  image: string;
  imageId: string;
  created: Date;
  state: ContainerDetails['status'];
  /** For people: `'Up 3 seconds'`. */
  status: string;
  labels: Record<string, string>;
}

/** An image of the engine. */
export interface ImageSummary {
  id: string;
  tags: string[];
  digests: string[];
  created: Date;
  /** Bytes. */
  size: number;
  labels: Record<string, string>;
}

/** A network of the engine. */
export interface NetworkDetails {
  id: string;
  name: string;
  driver: string;
  internal: boolean;
  subnets: string[];
  labels: Record<string, string>;
}

/** A volume of the engine. */
export interface VolumeDetails {
  name: string;
  driver: string;
  /** Where it is at the engine's host. */
  mountpoint: string;
  labels: Record<string, string>;
}

/** Something that happened. */
export interface EngineEvent {
  /** `'container'`, `'image'`, `'network'`, `'volume'`. */
  type: string;
  /** `'create'`, `'start'`, `'die'`, `'destroy'`, … */
  action: string;
  id: string;
  attributes: Record<string, string>;
  time: Date;
}

interface EndpointJson {
  NetworkID: string;
  IPAddress: string;
  GlobalIPv6Address: string;
  MacAddress: string;
  Gateway: string;
  Aliases: string[] | null;
}

interface ContainerJson {
  Id: string;
  Name: string;
  Created: string;
  Image: string;
  RestartCount: number;
  Config: { Image: string; Env: string[] | null; Labels: Record<string, string> | null };
  State: {
    Status: ContainerDetails['status'];
    Running: boolean;
    ExitCode: number;
    OOMKilled: boolean;
    Error: string;
    Pid: number;
    StartedAt: string;
    FinishedAt: string;
    Health?: { Status: HealthStatus };
  };
  NetworkSettings: {
    Ports: Record<string, { HostIp: string; HostPort: string }[] | null> | null;
    Networks: Record<string, EndpointJson> | null;
  };
  Mounts: { Type: string; Name?: string; Source: string; Destination: string; RW: boolean }[] | null;
}

/** @internal */
export function containerDetails(answer: unknown): ContainerDetails {
  const { Id, Name, Created, Image, RestartCount, Config, State, NetworkSettings, Mounts } = answer as ContainerJson;
  return {
    id: Id,
    name: Name.replace(/^\//, ''),
    image: Config.Image,
    imageId: Image,
    created: new Date(Created),
    status: State.Status,
    running: State.Running,
    exitCode: State.ExitCode,
    oomKilled: State.OOMKilled,
    error: State.Error,
    pid: State.Pid,
    startedAt: dateOf(State.StartedAt),
    finishedAt: dateOf(State.FinishedAt),
    health: State.Health?.Status ?? 'none',
    restartCount: RestartCount,
    env: Object.fromEntries((Config.Env ?? []).map((text) => splitOnce(text, '='))),
    labels: Config.Labels ?? {},
    ports: Object.entries(NetworkSettings.Ports ?? {}).flatMap(([key, bindings]) => {
      const [port, protocol] = splitOnce(key, '/');
      return (bindings ?? []).map(({ HostIp, HostPort }) => {
        return { containerPort: Number(port), protocol, hostIp: HostIp, hostPort: Number(HostPort) };
      });
    }),
    networks: Object.fromEntries(
      Object.entries(NetworkSettings.Networks ?? {}).map(([name, place]) => [name, networkPlace(place)]),
    ),
    mounts: (Mounts ?? []).map((mount) => {
      return {
        type: mount.Type,
        name: mount.Name ?? '',
        source: mount.Source,
        target: mount.Destination,
        readOnly: !mount.RW,
      };
    }),
    raw: answer as Record<string, unknown>,
  };
}

function networkPlace(place: EndpointJson): NetworkPlace {
  return {
    networkId: place.NetworkID,
    ipAddress: place.IPAddress,
    ipv6Address: place.GlobalIPv6Address,
    macAddress: place.MacAddress,
    gateway: place.Gateway,
    aliases: place.Aliases ?? [],
  };
}

/** Docker's year 1 means never. */
function dateOf(text: string): Date | undefined {
  return text.startsWith('0001-') ? undefined : new Date(text);
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

interface SummaryJson {
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  Created: number;
  State: ContainerDetails['status'];
  Status: string;
  Labels: Record<string, string> | null;
}

/** @internal */
export function containerSummary(answer: unknown): ContainerSummary {
  const { Id, Names, Image, ImageID, Created, State, Status, Labels } = answer as SummaryJson;
  return {
    id: Id,
    name: (Names[0] ?? '').replace(/^\//, ''),
    image: Image,
    imageId: ImageID,
    created: new Date(Created * 1000),
    state: State,
    status: Status,
    labels: Labels ?? {},
  };
}

interface ImageJson {
  Id: string;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
  /** Seconds in lists, a text in inspections. */
  Created: number | string;
  Size: number;
  Labels?: Record<string, string> | null;
  Config?: { Labels?: Record<string, string> | null };
}

/** @internal */
export function imageSummary(answer: unknown): ImageSummary {
  const { Id, RepoTags, RepoDigests, Created, Size, Labels, Config } = answer as ImageJson;
  return {
    id: Id,
    tags: RepoTags ?? [],
    digests: RepoDigests ?? [],
    created: new Date(typeof Created === 'number' ? Created * 1000 : Created),
    size: Size,
    labels: Labels ?? Config?.Labels ?? {},
  };
}

interface NetworkJson {
  Id: string;
  Name: string;
  Driver: string;
  Internal: boolean;
  IPAM: { Config: { Subnet: string }[] | null };
  Labels: Record<string, string> | null;
}

/** @internal */
export function networkDetails(answer: unknown): NetworkDetails {
  const { Id, Name, Driver, Internal, IPAM, Labels } = answer as NetworkJson;
  const subnets = (IPAM.Config ?? []).map(({ Subnet }) => Subnet);
  return { id: Id, name: Name, driver: Driver, internal: Internal, subnets, labels: Labels ?? {} };
}

/** @internal */
export function volumeDetails(answer: unknown): VolumeDetails {
  const { Name, Driver, Mountpoint, Labels } = answer as {
    Name: string;
    Driver: string;
    Mountpoint: string;
    Labels: Record<string, string> | null;
  };
  return { name: Name, driver: Driver, mountpoint: Mountpoint, labels: Labels ?? {} };
}

/** @internal */
export function engineEvent(answer: unknown): EngineEvent {
  const { Type, Action, Actor, timeNano } = answer as {
    Type: string;
    Action: string;
    Actor: { ID: string; Attributes: Record<string, string> | null };
    timeNano: number;
  };
  return {
    type: Type,
    action: Action,
    id: Actor.ID,
    attributes: Actor.Attributes ?? {},
    time: new Date(timeNano / 1e6),
  };
}
