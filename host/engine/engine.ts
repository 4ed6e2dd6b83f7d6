// The engine: assembles its parts, creates and finds containers, takes up what an earlier engine left. Read this file first.
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Backend } from '../backend.ts';
import { planDigest } from '../core/plan-text.ts';
import { GantryError } from '../errors.ts';
import type { ImageStore } from '../image/image-store.ts';
import type { EnginePaths } from '../paths.ts';
import type { Plan, PlanNetwork } from '../plan-types.ts';
import type { ContainerConfig, Image, Isolation } from '../types.ts';
import { checkCapabilities, settleAbilities } from './abilities.ts';
import { createBackends, type OpenBackend } from './backends.ts';
import { type Container, createContainer } from './container.ts';
import { type Announce, createAnnounce } from './container-events.ts';
import type { Context } from './context.ts';
import { type Copies, createCopies } from './copies.ts';
import { createEvents, type Events } from './events.ts';
import { createExecs, type Execs } from './exec.ts';
import { findContainer } from './find-container.ts';
import { settleIdMaps, sharedIdMaps } from './id-maps.ts';
import { engineFiles, makeContainerDirectory, makeDirectories, makePrivate } from './state/layout.ts';
import { validateHealthcheck } from './lifecycle/health-state.ts';
import { createHealthMonitor } from './lifecycle/health.ts';
import { createLifecycle, type Lifecycle } from './lifecycle/lifecycle.ts';
import { lockDataRoot } from './state/lock.ts';
import { type ContainerInput, mergeConfig } from './merge.ts';
import { previewMounts, settleMounts, unsettleMounts } from './volumes/mounts.ts';
import { checkName, newId } from './names.ts';
import { createNetworks, privateSysctls } from './network/networks.ts';
import { createNetworkOperations, type NetworkOperations } from './network/operations.ts';
import { settleLinks } from './network/links.ts';
import { checkHostPlace, checkNetworkOptions, settleNetworks } from './network/options.ts';
import { explain, type FindRunning, namedDevices, planRecord } from './planning.ts';
import type { ContainerRecord } from './record.ts';
import { createSnapshots, type Snapshots } from './snapshots.ts';
import { createSpareDirectories } from './state/spare-directories.ts';
import { readRecords } from './state/state-store.ts';
import { createTakenNames } from './taken-names.ts';
import { createTrash } from './state/trash.ts';
import { createVolumeMounts } from './volumes/volume-mounts.ts';
import { openVolumes, type Volumes } from './volumes/volumes.ts';

export interface EngineOptions {
  paths: EnginePaths;
  backend: Backend;
  /** Others, by the isolation that asks for them. */
  others?: Partial<Record<Isolation, OpenBackend>>;
  /** Called once the data root is locked. */
  openImages: () => ImageStore;
}

export interface PlanAnswer {
  plan: Plan;
  text: string;
  /** sha256, hex. */
  digest: string;
}

export interface Engine extends Lifecycle {
  readonly paths: EnginePaths;
  readonly backend: Backend;
  readonly images: ImageStore;
  readonly volumes: Volumes;
  readonly networks: NetworkOperations;
  readonly events: Events;
  readonly execs: Execs;
  readonly copies: Copies;
  /** Tells those who listen what a client did with a container. */
  readonly announce: Announce;
  readonly snapshots: Snapshots;
  /** What could not be read when the engine started, sentences for the user. */
  readonly damaged: readonly string[];
  /** @param forBuild it has no volumes and no health check of its image, and goes with this engine. */
  create(name: string | undefined, input: ContainerInput, forBuild?: boolean): Promise<Container>;
  rename(container: Container, name: string): void;
  /** @throws {GantryError} VOLUME_NOT_FOUND. */
  removeVolume(name: string): Promise<void>;
  /** By ID, unique beginning of an ID, or name. @throws {GantryError} CONTAINER_NOT_FOUND, INVALID_ARGUMENT. */
  find(name: string): Container;
  /** Newest first. */
  list(): Container[];
  /** Plans without running: what `create` and `start` would do. */
  plan(input: ContainerInput): Promise<PlanAnswer>;
  /** No container runs or is to be restarted. */
  readonly idle: boolean;
  /** Lets containers run on. */
  close(): Promise<void>;
}

const none: PlanNetwork = { mode: 'none', interfaces: [], sysctls: privateSysctls };

/** @throws {GantryError} IN_USE where another engine has the data root; STATE_DAMAGED. */
export async function openEngine({ paths, backend, others, openImages }: EngineOptions): Promise<Engine> {
  const unlock = lockDataRoot(paths.dataRoot);
  process.umask(0o022); // A stricter one of the user's would show in every container's root directory.
  mkdirSync(paths.runRoot, { recursive: true, mode: 0o700 });
  makePrivate(paths.memoryRoot);
  const files = engineFiles(paths);
  if (makeDirectories(files).fresh) backend.spread([files.containers]).catch(() => {});
  const images = openImages();
  const trash = createTrash(files.trash, (paths) => backend.removeTrees(paths));
  const volumes = openVolumes(files.volumes, trash.take);
  const events = createEvents();
  const backends = createBackends(backend, others);
  const context: Context = {
    paths,
    files,
    backend,
    backends,
    images,
    volumes,
    volumeMounts: createVolumeMounts(backend, events, volumes),
    trash,
    spareDirectories: createSpareDirectories(trash, (paths) => backend.renewDirectories(paths)),
    events,
    networks: createNetworks(backend, paths.dataRoot, files.of),
  };

  const containers = new Map<string, Container>();
  const names = createTakenNames();
  const find = (name: string): Container => findContainer(containers, name);
  const findRecord = (name: string): ContainerRecord => find(name).record;
  const findRunning: FindRunning = (name) => {
    const { record, backend: runner } = find(name);
    if (!runner.capabilities.kernel) throw noNamespaces(name);
    if (record.state.pid === 0)
      throw new GantryError('INVALID_STATE', `Cannot join a namespace of container ${name}: it is not running`);
    return { id: record.id, pid: record.state.pid, idMaps: record.idMaps };
  };
  const isMounted = (volume: string): boolean =>
    [...containers.values()].some(({ record }) => record.mounts.some(({ name }) => name === volume));
  const announce = createAnnounce(context.events);
  const execs = createExecs(context, announce);
  const health = createHealthMonitor(execs, announce);
  const lifecycle = createLifecycle(
    context,
    announce,
    health,
    findRunning,
    containers,
    ({ record }) => {
      containers.delete(record.id);
      names.release(record.name, record.id);
    },
    isMounted,
  );

  const newRecord = (
    id: string,
    name: string,
    input: ContainerInput,
    config: ContainerRecord['config'],
  ): ContainerRecord => ({
    version: 1,
    id,
    name,
    created: new Date().toISOString(),
    config: input.hostname === '' ? { ...config, hostname: defaultHostname(config, id) } : config,
    state: {
      status: 'created',
      pid: 0,
      exitCode: 0,
      oomKilled: false,
      error: '',
      startedAt: '',
      finishedAt: '',
      restartCount: 0,
      stoppedByUser: false,
    },
    mounts: [],
    endpoints: {},
    ports: [],
    warnings: [],
  });

  const chooseIds = (record: ContainerRecord): void => {
    const own = settleIdMaps(
      record.config,
      [...containers.values()].flatMap(({ record: { idMaps } }) => idMaps ?? []),
    );
    if (own !== undefined) record.idMaps = own;
  };

  /** What runs a container of this configuration, and can do what it asks for. */
  const backendFor = async (config: ContainerConfig, { platform }: Image): Promise<Backend> => {
    if (platform.architecture === 'wasm') config.host.isolation ??= 'wasm';
    const found = await backends.of(config.host.isolation);
    settleAbilities(config, found.capabilities);
    checkCapabilities(config, found.capabilities);
    checkHostPlace(config, found.hostPlace);
    return found;
  };

  /** What of a creation may be refused or waits for something; its name is taken already. */
  const complete = async (record: ContainerRecord, image: Image, backend: Backend): Promise<Container> => {
    const { config } = record;
    chooseIds(record);
    await images.showLayers(images.layerPaths(image)); // Its user is looked up in there.
    const facts = await backend.facts(namedDevices(config));
    // Planned once without network and mounts: what would be refused at the start is refused here, and nothing is left.
    record.warnings = planRecord(
      context,
      { ...record, config: withoutJoins(config) },
      { backend, facts, network: none, image, find: findRunning },
    ).warnings;
    record.warnings.push(...(await context.networks.prepare(config)));
    record.mounts = await settleMounts(config, {
      volumes,
      images,
      events,
      owner: record.id,
      find: findRecord,
      warn: (text) => record.warnings.push(text),
    });
    try {
      chooseIds(record); // Again: others may have been created meanwhile; from here on nothing is waited for.
      const container = createContainer(context, record, backend);
      makeContainerDirectory(container.files, context.spareDirectories);
      container.save();
      containers.set(record.id, container);
      announce(container, 'create');
      return container;
    } catch (error) {
      if (existsSync(files.of(record.id).directory)) trash.take(files.of(record.id).directory);
      unsettleMounts(record.mounts, volumes);
      throw error;
    }
  };

  const engine: Engine = {
    ...lifecycle,
    paths,
    backend,
    images,
    volumes,
    networks: createNetworkOperations(context),
    events: context.events,
    execs,
    copies: createCopies(context),
    announce,
    snapshots: createSnapshots(context, lifecycle, announce),
    damaged: [],
    find,
    list: () => [...containers.values()].sort((a, b) => b.record.created.localeCompare(a.record.created)),
    async create(name, input, forBuild = false) {
      if (name !== undefined) checkName(name);
      const image = await images.find(input.image);
      const config = mergeConfig(input, forBuild ? withoutOwnLife(image) : image);
      const backend = await backendFor(config, image);
      checkNetworkOptions(config, input.hostname);
      validateHealthcheck(config.healthcheck);
      settleNetworks(config.host, context.networks.registry.find);
      settleLinks(config.host, findRecord);
      if (input.host.autoRemove && input.host.restartPolicy.name !== 'no')
        throw new GantryError('INVALID_ARGUMENT', "Cannot create 'AutoRemove' container with restart policy");
      const id = newId();
      if (name !== undefined) names.take(name, id);
      const record = newRecord(id, name ?? names.choose(id), input, config);
      if (forBuild) record.forBuild = true;
      try {
        return await complete(record, image, backend);
      } catch (error) {
        names.release(record.name, id);
        throw error;
      }
    },
    rename(container, name) {
      const oldName = container.record.name;
      if (name === '') throw new GantryError('INVALID_ARGUMENT', 'Neither old nor new names may be empty');
      if (name === oldName)
        throw new GantryError('INVALID_ARGUMENT', 'Renaming a container with the same name as its current name');
      checkName(name);
      names.take(name, container.record.id, 'Error when allocating new name: ');
      names.release(oldName, container.record.id);
      container.record.name = name;
      container.save();
      announce(container, 'rename', { oldName: `/${oldName}` });
    },
    async removeVolume(name) {
      await context.volumeMounts.clear(volumes.find(name));
      volumes.remove(name);
      events.emit('volume', 'destroy', name, { driver: 'local' });
    },
    async plan(input) {
      const image = await images.find(input.image);
      const config = mergeConfig(input, image);
      const backend = await backendFor(config, image);
      checkNetworkOptions(config, input.hostname);
      settleNetworks(config.host, context.networks.registry.find);
      settleLinks(config.host, findRecord);
      const facts = await backend.facts(namedDevices(config));
      const record = newRecord(PLANNED_ID, 'planned', input, config);
      chooseIds(record);
      const shared = sharedIdMaps(config, findRunning);
      if (shared !== undefined) record.idMaps = shared;
      record.mounts = await previewMounts(config, images, files.volumes);
      await images.showLayers(images.layerPaths(image));
      const network = await context.networks.preview(record, findRunning);
      const plan = planRecord(context, record, { backend, facts, network, image, find: findRunning, preview: true });
      return { plan, text: explain(plan, backend), digest: planDigest(plan) };
    },
    get idle() {
      return [...containers.values()].every(
        ({ running, record }) => running === undefined && record.state.status !== 'restarting',
      );
    },
    async close() {
      for (const container of containers.values()) {
        health.leave(container);
        container.running?.detach();
      }
      await lifecycle.settle();
      await context.networks.close(engine.idle && backend.capabilities.outlivesEngine);
      await context.spareDirectories.close();
      await trash.empty();
      await images.close();
      await backends.close();
      for (const path of [files.running, paths.memoryRoot, paths.runRoot]) removeEmpty(path);
      unlock();
    },
  };

  const found = [files.containers, files.running].map((path) => readRecords<ContainerRecord>(path, 'container.json'));
  Object.assign(engine, {
    damaged: [...found.flatMap(({ damaged }) => damaged), ...volumes.damaged, ...context.networks.registry.damaged],
  });
  for (const record of found.flatMap(({ records }) => records))
    containers.set(record.id, createContainer(context, record, await backends.known(record.config.host.isolation)));
  for (const { record } of containers.values()) names.keep(record.name, record.id);
  for (const container of [...containers.values()]) if (container.record.removing) lifecycle.finishRemoval(container);
  volumes.removeOrphans((id) => containers.has(id), isMounted);
  // Made, but not recorded, when an engine died: nobody has seen them. And those of --rm that a reboot has ended.
  for (const id of readdirSync(files.containers))
    if (![files.of(id).record, files.of(id).volatileRecord].some(existsSync)) trash.take(files.of(id).directory);
  // Of containers whose removal an engine did not live to finish.
  const known = new Set(readdirSync(files.containers).map((id) => basename(files.of(id).runDirectory)));
  for (const name of readdirSync(files.running)) if (!known.has(name)) trash.remove(join(files.running, name));
  const live = [...containers.values()].filter(lifecycle.mayRun);
  const there = await Promise.all(live.map(async ({ backend }) => (await backend.outlived?.()) ?? true));
  const left = live.filter((_, index) => there[index]).map(({ record }) => record);
  await context.networks.restore(left);
  await context.volumeMounts.restore(left);
  await Promise.all(live.map((container) => container.exclusively(() => lifecycle.adopt(container))));
  for (const container of containers.values())
    if (container.record.forBuild) lifecycle.remove(container, { force: true, volumes: true }).catch(() => {});
    else lifecycle.resume(container).catch(() => {});
  return engine;
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Something is in it: containers run on.
  }
}

/** Volumes of an image would hide what a build changes in them. */
function withoutOwnLife(image: Image): Image {
  const { healthcheck: _none, ...config } = image.config;
  return { ...image, config: { ...config, volumes: [], entrypoint: [], command: [] } };
}

/** ID in plans that are only shown: the same for the same flags. */
const PLANNED_ID = '0'.repeat(64);

function defaultHostname({ host }: ContainerRecord['config'], id: string): string {
  return host.utsMode === 'host' || host.networkMode.startsWith('container:') ? '' : id.slice(0, 12);
}

/** Namespaces of containers that do not run yet are no reason to refuse a creation. */
function withoutJoins(config: ContainerRecord['config']): ContainerRecord['config'] {
  const own = (mode: string): string => (mode.startsWith('container:') ? '' : mode);
  const { pidMode, ipcMode, utsMode, userMode, cgroupMode, timeMode = '' } = config.host;
  return {
    ...config,
    host: {
      ...config.host,
      pidMode: own(pidMode),
      ipcMode: own(ipcMode),
      utsMode: own(utsMode),
      userMode: own(userMode),
      cgroupMode: own(cgroupMode),
      timeMode: own(timeMode),
    },
  };
}

function noNamespaces(name: string): GantryError {
  return new GantryError('UNSUPPORTED', `Cannot join a namespace of container ${name}: it has none`);
}
