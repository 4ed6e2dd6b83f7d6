// File systems of volumes: mounted on the volume's directory with its first user, gone with the last. And the events about it.
import { readFileSync, realpathSync } from 'node:fs';
import type { Backend } from '../../backend.ts';
import { planVolume } from '../../core/plans.ts';
import { GantryError } from '../../errors.ts';
import type { Events } from '../events.ts';
import { mountPoints } from './propagation.ts';
import type { ContainerRecord, MountPoint } from '../record.ts';
import { fileSystemOf } from './volume-options.ts';
import type { Volume, Volumes } from './volumes.ts';

export interface VolumeMounts {
  /** Makes a container's volumes ready for a start. @throws {GantryError} where a file system cannot be mounted; nothing is held then. */
  acquire(record: ContainerRecord): Promise<void>;
  /** To be called when it is torn down; does nothing where nothing is held. */
  release(record: ContainerRecord): Promise<void>;
  /** The same for someone else than the container itself, without events. Returns the way to let go. */
  borrow(record: ContainerRecord): Promise<() => Promise<void>>;
  /** Takes up what an earlier engine left: mounts of these containers stay, others go. */
  restore(running: ContainerRecord[]): Promise<void>;
  /** For a removal: nothing stays mounted on its directory. */
  clear(volume: Volume): Promise<void>;
}

export function createVolumeMounts(backend: Backend, events: Events, volumes: Volumes): VolumeMounts {
  /** Volume → who has it. */
  const users = new Map<string, Set<unknown>>();
  let last: Promise<unknown> = Promise.resolve();
  /** A mount and an unmount of one volume must not cross. */
  const exclusively = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next.catch(() => {});
    return next;
  };

  const of = (record: ContainerRecord): { point: MountPoint; volume: Volume }[] =>
    record.mounts.filter(({ type }) => type === 'volume').map((point) => ({ point, volume: volumes.find(point.name) }));

  const run = async (action: 'mount' | 'unmount', volume: Volume): Promise<void> => {
    const system = fileSystemOf(volume);
    if (system === undefined) return;
    const facts = await backend.facts();
    const program = planVolume(facts, { action, path: volume.path, ...system });
    await backend.run(program).catch((cause: unknown) => {
      throw action === 'mount' ? mountFailure(volume, cause) : cause;
    });
  };

  const take = (volume: Volume, user: unknown): Promise<void> =>
    exclusively(async () => {
      const all = users.get(volume.name) ?? new Set();
      if (all.size === 0 && fileSystemOf(volume) !== undefined && !isMounted(volume)) await run('mount', volume);
      users.set(volume.name, all.add(user));
    });
  const leave = (volume: Volume, user: unknown): Promise<void> =>
    exclusively(async () => {
      const all = users.get(volume.name);
      if (all?.delete(user) !== true || all.size > 0) return;
      users.delete(volume.name);
      if (fileSystemOf(volume) !== undefined && isMounted(volume)) await run('unmount', volume);
    });

  /** All or none. */
  const takeAll = async (record: ContainerRecord, user: unknown): Promise<Volume[]> => {
    const taken: Volume[] = [];
    try {
      for (const { volume } of of(record)) {
        await take(volume, user);
        taken.push(volume);
      }
    } catch (error) {
      for (const volume of taken) await leave(volume, user).catch(() => {});
      throw error;
    }
    return taken;
  };

  return {
    async acquire(record) {
      const taken = await takeAll(record, record.id);
      for (const { point } of of(record).slice(0, taken.length))
        events.emit('volume', 'mount', point.name, {
          container: record.id,
          destination: point.target,
          driver: 'local',
          propagation: point.propagation,
          'read/write': String(!point.readOnly),
        });
    },
    async release(record) {
      for (const { type, name } of record.mounts) {
        if (type !== 'volume' || users.get(name)?.has(record.id) !== true) continue;
        await leave(volumes.find(name), record.id).catch(() => {}); // Tried again before its removal.
        events.emit('volume', 'unmount', name, { container: record.id, driver: 'local' });
      }
    },
    async borrow(record) {
      const user = {};
      const taken = await takeAll(record, user);
      return async () => {
        for (const volume of taken) await leave(volume, user).catch(() => {});
      };
    },
    async restore(running) {
      for (const { id, mounts } of running)
        for (const { type, name } of mounts)
          if (type === 'volume') users.set(name, (users.get(name) ?? new Set()).add(id));
      for (const volume of volumes.list())
        if (fileSystemOf(volume) !== undefined && !users.has(volume.name) && isMounted(volume))
          await run('unmount', volume).catch(() => {});
    },
    clear: (volume) =>
      exclusively(async () => {
        if (fileSystemOf(volume) !== undefined && isMounted(volume)) await run('unmount', volume);
      }),
  };
}

function isMounted({ path }: Volume): boolean {
  return mountPoints(readFileSync('/proc/self/mountinfo', 'utf8')).includes(realpathSync(path));
}

/** Docker's words; a password among the options is not shown. */
function mountFailure(volume: Volume, cause: unknown): GantryError {
  const { type, device, options } = fileSystemOf(volume)!;
  const shown = options.map((option) => option.replace(/^password=.*/, 'password=********')).join(',');
  const errno = cause instanceof GantryError ? cause.details?.errno : undefined;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new GantryError(
    errno === 'ENODEV' ? 'UNSUPPORTED' : 'PLAN_FAILED',
    `Error while mounting volume '${volume.path}': failed to mount local volume: mount ${device}:${volume.path}, data: ${shown}: ${errno === 'ENODEV' ? 'no such device' : reason}`,
    {
      hint:
        errno === 'ENODEV'
          ? `This kernel has no file system "${type}"`
          : `Check type, device and o: "gantry volume inspect ${volume.name}" shows them`,
      cause,
    },
  );
}
