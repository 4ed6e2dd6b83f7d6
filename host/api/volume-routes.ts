// /volumes: list, create, inspect, remove, prune.
import { diskUsage } from '../engine/disk-usage.ts';
import type { Engine } from '../engine/engine.ts';
import type { Volume } from '../engine/volumes.ts';
import { readFields } from './fields.ts';
import { matchesLabels, readFilters, anyOf } from './filters.ts';
import { GantryError } from '../errors.ts';
import { type Call, flag, type Route, readJson, sendJson, sendNothing } from './http.ts';

export function volumeRoutes(engine: Engine): Route[] {
  const { volumes, events } = engine;
  const user = (name: string) => engine.list().find(({ record }) => record.mounts.some((mount) => mount.name === name));

  const create = async (call: Call): Promise<void> => {
    const fields = readFields(await readJson(call), '');
    const driver = fields.text('Driver');
    if (!['', 'local'].includes(driver))
      throw new GantryError('UNSUPPORTED', `Cannot use the volume driver "${driver}": not supported`);
    const name = fields.text('Name');
    const labels = fields.textMap('Labels');
    fields.finish();
    const volume = await volumes.ensure(name, labels);
    events.emit('volume', 'create', volume.name, { driver: 'local' });
    sendJson(call, volumeJson(volume), 201);
  };

  const prune = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), ['label', 'all']);
    const all = filters.all?.some((value) => /^(1|true)$/.test(value)) ?? false;
    const unused = volumes
      .list()
      .filter(
        (volume) =>
          (all || volume.anonymous) && user(volume.name) === undefined && matchesLabels(volume.labels, filters.label),
      );
    let SpaceReclaimed = 0;
    const VolumesDeleted: string[] = [];
    for (const { name, path } of unused) {
      const bytes = await diskUsage(path);
      if (user(name) !== undefined) continue; // A container has come meanwhile.
      engine.removeVolume(name);
      VolumesDeleted.push(name);
      SpaceReclaimed += bytes;
    }
    sendJson(call, { VolumesDeleted, SpaceReclaimed });
  };

  return [
    {
      method: 'GET',
      path: '/volumes',
      handler: (call) => {
        const filters = readFilters(call.query.get('filters'), ['label', 'name', 'dangling', 'driver']);
        const found = volumes
          .list()
          .filter(
            (volume) =>
              matchesLabels(volume.labels, filters.label) &&
              anyOf(filters.name, (name) => volume.name.includes(name)) &&
              anyOf(filters.driver, (driver) => driver === 'local') &&
              anyOf(filters.dangling, (value) => /^(1|true)$/.test(value) === (user(volume.name) === undefined)),
          );
        sendJson(call, { Volumes: found.map(volumeJson), Warnings: null });
      },
    },
    { method: 'POST', path: '/volumes/create', handler: create },
    { method: 'POST', path: '/volumes/prune', handler: prune },
    {
      method: 'GET',
      path: '/volumes/:name',
      handler: (call) => sendJson(call, volumeJson(volumes.find(call.params.name!))),
    },
    {
      method: 'DELETE',
      path: '/volumes/:name',
      handler: (call) => {
        const name = call.params.name!;
        const container = user(name);
        if (container !== undefined)
          throw new GantryError('IN_USE', `Remove ${name}: volume is in use - [${container.record.id}]`, {
            hint: 'Remove the container first',
          });
        if (!(flag(call, 'force') && volumes.list().every((volume) => volume.name !== name))) engine.removeVolume(name);
        sendNothing(call);
      },
    },
  ];
}

function volumeJson({ name, path, labels, created }: Volume): object {
  return {
    CreatedAt: created,
    Driver: 'local',
    Labels: labels,
    Mountpoint: path,
    Name: name,
    Options: null,
    Scope: 'local',
  };
}
