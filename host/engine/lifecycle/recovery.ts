// What an engine that was killed left: containers that run, containers that ended meanwhile, and changes that were under way.
import { existsSync } from 'node:fs';
import type { RunningProcess } from '../../backend.ts';
import { planTeardown, planUpdate } from '../../core/plans.ts';
import type { Container } from '../container.ts';
import type { Announce } from '../container-events.ts';
import type { Context } from '../context.ts';
import { changeHosts } from '../network/network-files.ts';
import { logOf, namedDevices, sharesOf } from '../planning.ts';
import { removeRecord } from '../state/state-store.ts';
import type { Exits } from './exits.ts';
import type { Removal } from './removal.ts';
import { notedStart, runningState } from './start-record.ts';

export interface Recovery {
  /** What the records say of processes, before anybody is told of them: true where one may run. */
  mayRun(container: Container): boolean;
  /** Takes up what may run. To be called exclusively, once the networks have taken up theirs. */
  adopt(container: Container): Promise<void>;
  /** Removes what was on its way out. */
  finishRemoval(container: Container): void;
}

export interface Recovering {
  context: Context;
  announce: Announce;
  exits: Exits;
  removal: Removal;
  watch(container: Container, running: RunningProcess): void;
}

export function createRecovery({ context, announce, exits, removal, watch }: Recovering): Recovery {
  const { networks, trash, volumeMounts, volumes } = context;
  /** Their start was under way. */
  const starting = new Set<Container>();

  /** Nobody was told that it had started, yet it may run: what is known of it is what its start had noted. */
  const began = (container: Container, times: Pick<RunningProcess, 'pid' | 'startedAt'>): void => {
    const { record } = container;
    for (const mount of record.mounts) {
      mount.copyUp = false;
      if (mount.type === 'volume') volumes.markFilled(mount.name);
    }
    container.change(runningState(record, times));
    announce(container, 'start');
  };

  const neverRan = async ({ record }: Container): Promise<void> => {
    await networks.release(record);
    await volumeMounts.release(record);
  };

  const ended = async (container: Container): Promise<void> => {
    const { files } = container;
    if (starting.has(container)) {
      const exit = await container.backend.recordedExit(files.exitRecord);
      if (exit === undefined) return neverRan(container);
      began(container, {
        pid: 0,
        startedAt: exit.startedAt ?? exit.finishedAt,
      });
    }
    await exits.missed(container);
  };

  /** The kernel knows whether it is frozen; what was not told to anybody before the engine died gives way to it. */
  const settlePause = async (container: Container): Promise<void> => {
    const { backend } = container;
    const { id, config, state } = container.record;
    const parent = config.host.cgroupParent;
    const frozen = await backend.isPaused(id, parent);
    const meant = state.status === 'paused' && state.pausedForCommit !== true;
    if (frozen && !meant) await backend.unpause(id, parent);
    delete state.pausedForCommit;
    const status = frozen && meant ? 'paused' : 'running';
    if (state.status !== status) container.change({ status });
  };

  /** Limits are written again: some of them may be the old ones still. */
  const settleUpdate = async (container: Container): Promise<void> => {
    const { backend } = container;
    const { id, config, updatedFrom } = container.record;
    if (updatedFrom === undefined) return;
    const { cgroupParent, resources } = config.host;
    const request = {
      facts: await backend.facts(namedDevices(config)),
      id,
      cgroupParent,
    };
    try {
      await backend.run(planUpdate({ ...request, before: updatedFrom, after: resources }).program);
    } catch {
      await backend.run(planUpdate({ ...request, before: resources, after: updatedFrom }).program).catch(() => {});
      config.host.resources = updatedFrom;
    }
    delete container.record.updatedFrom;
    container.save();
  };

  const settleNetworks = async (container: Container): Promise<void> => {
    const { record, files } = container;
    for (const endpoint of Object.values(record.endpoints)) {
      const { network, changing } = endpoint;
      const segment = changing === true ? networks.registry.find(network).segment : undefined;
      if (segment === undefined) continue;
      await networks.disconnect(record, segment);
      changeHosts(files, record.config, [], [endpoint]);
      delete record.config.host.networks?.[network];
      container.save();
    }
  };

  const takeUp = async ({ record, files, backend }: Container): Promise<RunningProcess | undefined> => {
    const { capabilities } = backend;
    const teardown = capabilities.kernel
      ? planTeardown(await backend.facts(), record.id, record.config, networks.recorded(record))
      : undefined;
    const shares = sharesOf(record);
    const recovery = { exitRecord: files.exitRecord, shares, ...(teardown === undefined ? {} : { teardown }) };
    const log = capabilities.sameFiles ? undefined : logOf(record.config.host, files.log);
    return backend.adopt(record.id, files.controlSocket, recovery, log);
  };

  return {
    mayRun(container) {
      const { record, files } = container;
      const noted = notedStart(files);
      if (['running', 'paused'].includes(record.state.status)) return true;
      if (noted === undefined) return false;
      Object.assign(record, noted);
      starting.add(container);
      return true;
    },
    async adopt(container) {
      const { record, files, backend } = container;
      const running = (await (backend.outlived?.() ?? true)) ? await takeUp(container) : undefined;
      if (running === undefined) await ended(container);
      else {
        if (starting.has(container)) began(container, running);
        container.began(running);
        for (const settle of [settlePause, settleUpdate, settleNetworks]) await settle(container).catch(() => {}); // It has ended meanwhile, or says so when it is used.
        watch(container, running);
        networks.serve(record);
      }
      removeRecord(files.startRecord);
      starting.delete(container);
    },
    finishRemoval(container) {
      const { directory } = container.files;
      // No use for the next container: its supervisor may still be at work.
      if (existsSync(directory)) trash.take(directory);
      removal.discard(container, true);
    },
  };
}
