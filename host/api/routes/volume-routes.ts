// /volumes: list, create, inspect, remove, prune.
import { diskUsage } from '../../engine/disk-usage.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Volume } from '../../engine/volumes/volumes.ts';
import { GantryError } from '../../errors.ts';
import { readFields } from '../fields/fields.ts';
import {
  anyOf,
  type Filters,
  matchesLabels,
  matchesPattern,
  matchesPruneLabels,
  readFilters,
  truthOf,
} from '../fields/filters.ts';
import { type Call, flag, type Route, readJson, sendJson, sendNothing } from '../http.ts';
import { isBefore } from '../versions.ts';

export function volumeRoutes(engine: Engine): Route[] {
  const { volumes, events } = engine;
  const users = (name: string): string[] =>
    engine
      .list()
      .filter(({ record }) => record.mounts.some((mount) => mount.type === 'volume' && mount.name === name))
      .map(({ record }) => record.id);

  const create = async (call: Call): Promise<void> => {
    const fields = readFields(await readJson(call), '');
    const [name, driver] = [fields.text('Name'), fields.text('Driver')];
    const [labels, options] = [fields.textMap('Labels'), fields.textMap('DriverOpts')];
    if (fields.has('ClusterVolumeSpec'))
      throw new GantryError('UNSUPPORTED', 'Cannot create a cluster volume: there is no swarm');
    fields.finish();
    const volume = volumes.ensure(name, { driver, labels, options });
    if (volume.made) events.emit('volume', 'create', volume.name, { driver: 'local' });
    sendJson(call, volumeJson(volume), 201);
  };

  const list = (call: Call): void => {
    const filters = readFilters(call.query.get('filters'), ['dangling', 'driver', 'label', 'name']);
    const dangling = truthOf(filters, 'dangling');
    const found = volumes
      .list()
      .filter(
        ({ name, labels }) =>
          matchesLabels(labels, filters.label) &&
          matchesPattern(filters.name, name) &&
          anyOf(filters.driver, (driver) => driver === 'local') &&
          (dangling === undefined || dangling === (users(name).length === 0)),
      );
    sendJson(call, { Volumes: found.map(volumeJson), Warnings: null });
  };

  const remove = async (call: Call): Promise<void> => {
    const name = call.params.name!;
    const holding = users(name);
    if (holding.length > 0)
      throw new GantryError('IN_USE', `Remove ${name}: volume is in use - [${holding.join(', ')}]`, {
        hint: 'Remove the container first',
      });
    const known = volumes.list().some((volume) => volume.name === name);
    if (known || !flag(call, 'force')) await engine.removeVolume(name);
    sendNothing(call);
  };

  const prune = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), ['all', 'label', 'label!']);
    const all = everyOne(filters) || isBefore(call, '1.42');
    const unused = volumes
      .list()
      .filter(
        ({ name, labels, anonymous, options }) =>
          (all || anonymous) &&
          options === undefined &&
          users(name).length === 0 &&
          matchesPruneLabels(labels, filters),
      );
    let SpaceReclaimed = 0;
    const VolumesDeleted: string[] = [];
    for (const { name, path } of unused) {
      const bytes = await diskUsage(path);
      if (users(name).length > 0) continue; // A container has come meanwhile.
      try {
        await engine.removeVolume(name);
      } catch {
        continue; // Somebody else was faster.
      }
      VolumesDeleted.push(name);
      SpaceReclaimed += bytes;
    }
    events.emit('volume', 'prune', '', { reclaimed: String(SpaceReclaimed) });
    sendJson(call, { VolumesDeleted, SpaceReclaimed });
  };

  return [
    { method: 'GET', path: '/volumes', handler: list },
    { method: 'POST', path: '/volumes/create', handler: create },
    { method: 'POST', path: '/volumes/prune', handler: prune },
    {
      method: 'GET',
      path: '/volumes/:name',
      handler: (call) => sendJson(call, volumeJson(volumes.find(call.params.name!))),
    },
    { method: 'DELETE', path: '/volumes/:name', handler: remove },
  ];
}

/** @throws {GantryError} INVALID_ARGUMENT where "all" is neither true nor false. */
function everyOne(filters: Filters): boolean {
  if ((filters.all ?? []).length > 1)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid filter 'all=[${filters.all!.join(' ')}]': only one value is expected`,
    );
  return truthOf(filters, 'all') ?? false;
}

export function volumeJson({ name, path, labels, options, created }: Volume): object {
  return {
    CreatedAt: `${created.slice(0, 19)}Z`,
    Driver: 'local',
    Labels: Object.keys(labels).length > 0 ? labels : null,
    Mountpoint: path,
    Name: name,
    Options: options ?? null,
    Scope: 'local',
  };
}
