// The user's mounts → sources on this host: binds checked, volumes found or made, --volumes-from copied.
import { mkdirSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { GantryError } from '../errors.ts';
import type { PlanMount } from '../plan-types.ts';
import type { ContainerConfig, Mount } from '../types.ts';
import { checkPropagation } from './propagation.ts';
import type { ContainerRecord, MountPoint } from './record.ts';
import type { Volumes } from './volumes.ts';

/** Settles every mount at creation. Volumes that do not exist are made. @throws {GantryError} PATH_NOT_FOUND, INVALID_ARGUMENT. */
export async function settleMounts(
  config: ContainerConfig,
  volumes: Volumes,
  find: (name: string) => ContainerRecord,
): Promise<MountPoint[]> {
  // All is looked at before the first volume is made: what is refused leaves none.
  const targets = new Set<string>();
  for (const mount of config.host.mounts) {
    if (targets.has(mount.target))
      throw new GantryError('INVALID_ARGUMENT', `Duplicate mount point: ${mount.target}`, {
        hint: 'Mount one thing on it',
      });
    targets.add(mount.target);
    if (mount.type === 'bind') checkSource(mount);
    if (mount.type === 'volume') volumes.check(mount.source);
  }
  for (const given of config.host.volumesFrom) find(given.split(':')[0]!);
  const points = new Map<string, MountPoint>();
  for (const mount of config.host.mounts) points.set(mount.target, await settle(mount, volumes));
  for (const given of config.host.volumesFrom) {
    const [name = '', mode] = given.split(':');
    for (const point of find(name).mounts)
      if (!points.has(point.target))
        points.set(point.target, { ...point, readOnly: point.readOnly || mode === 'ro', copyUp: false });
  }
  for (const target of config.volumes) {
    if (points.has(target) || target in config.host.tmpfs) continue;
    points.set(target, { ...(await settle({ type: 'volume', source: '', target }, volumes)), mode: '' });
  }
  return [...points.values()];
}

async function settle(mount: Mount, volumes: Volumes): Promise<MountPoint> {
  const point = {
    type: mount.type,
    name: '',
    source: mount.source,
    target: mount.target,
    readOnly: mount.readOnly ?? false,
    mode: modeOf(mount),
    propagation: mount.propagation ?? (mount.type === 'bind' ? 'rprivate' : ''),
    copyUp: false,
    ...(mount.idmap === true ? { idmap: true } : {}),
  };
  if (mount.type !== 'volume') return point;
  const { name, path, fresh } = await volumes.ensure(mount.source, mount.volumeLabels ?? {});
  return { ...point, name, source: path, copyUp: fresh && mount.noCopy !== true };
}

/** Options as they were written; docker's "z" of volumes without any means nothing where there is no SELinux. */
function modeOf({ type, spelled }: Mount): string {
  return spelled?.split(':')[2] || (type === 'volume' ? 'z' : '');
}

function checkSource({ source, target, createSource }: Mount): void {
  if (!isAbsolute(source))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid mount config for type "bind": invalid mount path: '${source}' mount path must be absolute`,
    );
  if (statSync(source, { throwIfNoEntry: false }) !== undefined) return;
  if (createSource !== true)
    throw new GantryError(
      'PATH_NOT_FOUND',
      `Invalid mount config for type "bind": bind source path does not exist: ${source}`,
      {
        hint: `Make it first: mkdir -p ${source}; -v ${source}:${target} would make it too`,
      },
    );
  try {
    mkdirSync(source, { recursive: true });
  } catch (cause) {
    throw new GantryError('PERMISSION_DENIED', `Cannot make the bind source "${source}": ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** What the plan needs of the settled mounts. A bind's source may have gone since creation: told here, with its path. */
export function planMounts(record: ContainerRecord): PlanMount[] {
  const given = new Map(record.config.host.mounts.map((mount) => [mount.target, mount]));
  return record.mounts.map((point) => {
    const mount = given.get(point.target) ?? { type: point.type, source: point.source, target: point.target };
    const stats = point.type === 'tmpfs' ? undefined : statSync(point.source, { throwIfNoEntry: false });
    if (stats === undefined && point.type !== 'tmpfs')
      throw new GantryError(
        'PATH_NOT_FOUND',
        `Cannot mount "${point.source}" on "${point.target}": bind source path does not exist: ${point.source}`,
        {
          hint: 'It was there when the container was created; make it again',
        },
      );
    if (stats !== undefined) checkPropagation(point.source, point.propagation);
    return {
      ...mount,
      source: point.source,
      readOnly: point.readOnly,
      ...(point.idmap === true ? { idmap: true } : {}),
      ...(point.propagation === '' ? {} : { propagation: point.propagation }),
      sourceIsDirectory: stats?.isDirectory() ?? true,
      copyUp: point.copyUp,
    };
  });
}
