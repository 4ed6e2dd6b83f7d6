// The start of a container, from its record to a running process; and what is left of one that failed.
import { mkdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import type { RunningProcess } from '../../backend.ts';
import { GantryError } from '../../errors.ts';
import type { Container } from '../container.ts';
import { type Announce, announceNetworks } from '../container-events.ts';
import type { Context } from '../context.ts';
import { sharedIdMaps } from '../id-maps.ts';
import { linkedHosts, renewLinks } from '../network/links.ts';
import { layersOf } from '../layers-of.ts';
import { shareNetworkFiles, writeNetworkFiles } from '../network/network-files.ts';
import { type FindRunning, fitsSlot, logOf, namedDevices, planFiles, planRecord } from '../planning.ts';
import { removeRecord } from '../state/state-store.ts';
import { noteStart, runningState } from './start-record.ts';

/** What a container's change means for others. */
export interface Others {
  /** Undefined: it was removed. */
  get(id: string): Container | undefined;
  values(): Iterable<Container>;
}

export interface Starting {
  context: Context;
  find: FindRunning;
  announce: Announce;
  /** A container by ID, where there is one; and all of them. */
  others: Others;
  /** Told about a process that runs. */
  watch(container: Container, running: RunningProcess): void;
  /** Told about a container of --rm that did not start. */
  discard(container: Container): void;
}

/** False where it runs already. To be called exclusively. */
export type Begin = (container: Container) => Promise<boolean>;

export function createStart({ context, find, others, announce, watch, discard }: Starting): Begin {
  const { events, images, networks, volumeMounts, volumes } = context;

  const failed = async (container: Container, error: unknown): Promise<void> => {
    const { record } = container;
    const exitCode = error instanceof GantryError && error.exitStatus !== 125 ? error.exitStatus : 128;
    await networks.release(record);
    await volumeMounts.release(record);
    const status = record.state.startedAt === '' ? 'created' : 'exited';
    container.change({ status, error: (error as Error).message, exitCode, pid: 0 });
    removeRecord(container.files.startRecord);
    container.tellExit(exitCode);
    if (record.config.host.autoRemove) discard(container);
  };

  const begin: Begin = async (container) => {
    const { record, files, backend } = container;
    if (container.removed) throw new GantryError('CONTAINER_NOT_FOUND', `No such container: ${record.name}`);
    if (record.state.status === 'paused')
      throw new GantryError('INVALID_STATE', 'Cannot start a paused container, try unpause instead');
    if (container.running !== undefined) return false;
    await container.settled;
    await Promise.all([...container.copies].map(({ exited }) => exited));
    const { host, imageId } = record.config;
    let connected = false;
    let unshare = (): void => {};
    const slot = fitsSlot(host) ? backend.reserveSlot(host.cgroupParent) : undefined;
    try {
      const attached = container.attachWanted;
      const [facts, image] = await Promise.all([backend.facts(namedDevices(record.config)), images.find(imageId)]);
      const shared = sharedIdMaps(record.config, find);
      if (shared !== undefined) record.idMaps = shared;
      else if (host.userMode.startsWith('container:')) delete record.idMaps;
      const attachment = await networks.attach(record, find);
      const { endpoints, ports, publishedBy } = attachment;
      Object.assign(record, { endpoints, ports, publishedBy });
      const resolver = attachment.network.resolver?.address;
      const hostname = record.config.hostname || record.id.slice(0, 12);
      const [, owner] = /^container:(.+)$/.exec(host.networkMode) ?? [];
      if (owner !== undefined) shareNetworkFiles(files, context.files.of(find(owner).id));
      else {
        const linked = linkedHosts(record, (id) => others.get(id)?.record);
        writeNetworkFiles(
          files,
          record.config,
          hostname,
          Object.values(endpoints),
          linked,
          resolver,
          backend.hostPlace,
        );
      }
      if (host.autoRemove && record.state.startedAt !== '') await freshWork(files.work);
      if (record.state.startedAt !== '') removeRecord(files.exitRecord);
      await images.showLayers(layersOf(record, images.layerPaths(image)));
      await volumeMounts.acquire(record);
      mkdirSync(files.runDirectory, { recursive: true, mode: 0o700 }); // A reboot may have been in between.
      unshare = await backend.place(planFiles(context, record, image));
      noteStart(files, record);
      announceNetworks(events, record, 'connect');
      connected = true;
      const launch = async (place: string | undefined, again = true): Promise<RunningProcess> => {
        const plan = planRecord(context, record, {
          backend,
          facts,
          network: attachment.network,
          image,
          find,
          slot: place,
        });
        record.warnings = [...attachment.warnings, ...plan.warnings];
        return backend
          .start(plan, {
            attachOutput: attached.output,
            attachStdin: attached.stdin,
            slot: place,
            log: backend.capabilities.sameFiles ? undefined : logOf(host, files.log),
            recovery: { exitRecord: files.exitRecord, teardown: plan.teardown },
          })
          .catch(async (error: unknown) => {
            if (!again || !(await networks.repair(plan.setup, error))) throw error;
            return launch(undefined, false);
          });
      };
      const running = await launch(slot);
      void running.tornDown.then(unshare);
      record.warnings.push(...(running.warnings ?? []));
      for (const mount of record.mounts) {
        mount.copyUp = false;
        if (mount.type === 'volume') volumes.markFilled(mount.name);
      }
      container.began(running);
      container.change(runningState(record, running));
      removeRecord(files.startRecord);
      watch(container, running);
      if (resolver !== undefined) networks.serve(record);
      renewLinks(container, others.values());
      announce(container, 'start');
      return true;
    } catch (error) {
      if (container.running === undefined) unshare();
      if (slot !== undefined) backend.releaseSlot(slot);
      if (connected && container.running === undefined) announceNetworks(events, record, 'disconnect');
      if (container.running === undefined) await failed(container, error);
      throw error;
    }
  };
  return begin;
}

async function freshWork(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { mode: 0o755 });
}
