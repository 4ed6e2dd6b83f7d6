// Changes of a container that is there: its limits, live where it runs, and its restart policy.
import { planUpdate } from '../../core/plans.ts';
import { GantryError } from '../../errors.ts';
import type { Resources, RestartPolicy } from '../../types.ts';
import { checkAble } from '../abilities.ts';
import { type Container, hasEnded } from '../container.ts';
import type { Announce } from '../container-events.ts';
import { namedDevices } from '../planning.ts';

export interface Update {
  /** What is not named stays as it is. */
  resources: Resources;
  restartPolicy?: RestartPolicy;
}

/** Returns warnings, sentences for the user. A change that is refused changes nothing. To be called exclusively. */
export async function updateContainer(
  announce: Announce,
  container: Container,
  { resources, restartPolicy }: Update,
): Promise<string[]> {
  const { backend } = container;
  const { id, config } = container.record;
  const { host } = config;
  const refuse = (why: string): GantryError =>
    new GantryError('INVALID_STATE', `Cannot update container ${id}: ${why}`);
  if (restartPolicy !== undefined && restartPolicy.name !== 'no' && host.autoRemove)
    throw refuse('Restart policy cannot be updated because AutoRemove is enabled for the container');
  if (Object.keys(resources).length > 0) checkAble(container, 'update');
  const before = host.resources;
  const conflict = conflictOf(before, resources);
  if (conflict !== undefined) throw refuse(conflict);
  const after = mergeResources(before, resources);
  const facts = await backend.facts(namedDevices(config));
  const request = { facts, id, cgroupParent: host.cgroupParent };
  const { program, warnings } = planUpdate({ ...request, before, after });
  const { running, record } = container;
  if (running !== undefined) {
    record.updatedFrom = before;
    host.resources = after;
    container.save();
    await backend.run(program).catch(async (error: Error) => {
      const back = planUpdate({ ...request, before: after, after: before });
      await backend.run(back.program).catch(() => {});
      host.resources = before;
      delete record.updatedFrom;
      container.save();
      // It has ended meanwhile: the next start takes the new limits.
      if (await hasEnded(running)) return;
      throw new GantryError('PLAN_FAILED', `Cannot update container ${id}: ${error.message}`, {
        hint: error instanceof GantryError ? error.hint : undefined,
        cause: error,
      });
    });
    delete record.updatedFrom;
  }
  host.resources = after;
  if (restartPolicy !== undefined) host.restartPolicy = restartPolicy;
  container.save();
  announce(container, 'update');
  return warnings;
}

/** Docker's words. */
function conflictOf(before: Resources, change: Resources): string | undefined {
  const set = (value: number | undefined): boolean => value !== undefined && value > 0;
  if (set(change.nanoCpus) && set(before.cpuPeriod))
    return 'Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set';
  if (set(change.nanoCpus) && set(before.cpuQuota))
    return 'Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set';
  if (set(change.cpuPeriod) && set(before.nanoCpus))
    return 'Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set';
  if (set(change.cpuQuota) && set(before.nanoCpus))
    return 'Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set';
  const swap = swapOf(before);
  if (change.memory !== undefined && change.memorySwap === undefined && swap > 0 && Number(change.memory) > swap)
    return 'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time';
  return undefined;
}

/** Memory plus swap in force: twice the memory where nothing else was said; -1 and 0: no limit. */
function swapOf({ memory = 0, memorySwap }: Resources): number {
  return memorySwap === undefined ? Number(memory) * 2 : Number(memorySwap);
}

function mergeResources(before: Resources, change: Resources): Resources {
  const after = { ...before, ...change };
  if (change.memory === undefined || change.memorySwap !== undefined) return after;
  if (Number(change.memory) < 0) return { ...after, memorySwap: -1 };
  const swap = swapOf(before);
  return swap === 0 ? after : { ...after, memorySwap: swap };
}
