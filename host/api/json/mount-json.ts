// Mounts in docker's spelling: where they are (Mounts of a container), and how they were asked for (HostConfig).
import type { MountPoint } from '../../engine/record.ts';
import type { Mount } from '../../types.ts';

export function mountPointJson({
  type,
  name,
  driver,
  source,
  target,
  mode,
  readOnly,
  propagation,
}: MountPoint): object {
  return {
    Type: type,
    ...(name === '' ? {} : { Name: name }),
    Source: source,
    Destination: target,
    ...(type === 'volume' ? { Driver: driver ?? 'local' } : {}),
    Mode: mode ?? '',
    RW: !readOnly,
    Propagation: propagation,
  };
}

/** HostConfig.Binds: what was given as "SOURCE:TARGET[:OPTIONS]"; null where nothing was. */
export function bindsJson(mounts: Mount[]): string[] | null {
  const binds = mounts.flatMap(({ spelled }) => spelled ?? []);
  return binds.length > 0 ? binds : null;
}

/** HostConfig.Mounts; absent where there are none. */
export function mountsJson(mounts: Mount[]): { Mounts?: object[] } {
  const given = mounts.filter(({ spelled }) => spelled === undefined);
  return given.length > 0 ? { Mounts: given.map(mountJson) } : {};
}

function mountJson(mount: Mount): object {
  const { type, source, target, readOnly, idmap } = mount;
  const options = optionsJson(mount);
  const name = { bind: 'BindOptions', volume: 'VolumeOptions', tmpfs: 'TmpfsOptions', image: 'ImageOptions' }[type];
  return {
    Type: type,
    ...(source === '' ? {} : { Source: source }),
    Target: target,
    ...(readOnly ? { ReadOnly: true } : {}),
    ...(Object.keys(options).length > 0 ? { [name]: options } : {}),
    ...(idmap ? { Gantry: { idmap } } : {}),
  };
}

function optionsJson(mount: Mount): object {
  if (mount.type === 'bind')
    return {
      ...(mount.propagation ? { Propagation: mount.propagation } : {}),
      ...(mount.nonRecursive ? { NonRecursive: true } : {}),
      ...(mount.createSource ? { CreateMountpoint: true } : {}),
      ...(mount.readOnlyRecursive === 'disabled' ? { ReadOnlyNonRecursive: true } : {}),
      ...(mount.readOnlyRecursive === 'force' ? { ReadOnlyForceRecursive: true } : {}),
    };
  if (mount.type === 'volume')
    return {
      ...(mount.noCopy ? { NoCopy: true } : {}),
      ...(Object.keys(mount.volumeLabels ?? {}).length > 0 ? { Labels: mount.volumeLabels } : {}),
      ...(mount.volumeSubpath ? { Subpath: mount.volumeSubpath } : {}),
      ...driverJson(mount),
    };
  if (mount.type === 'image') return {};
  return {
    ...(mount.tmpfsSize ? { SizeBytes: Number(mount.tmpfsSize) } : {}),
    ...(mount.tmpfsMode ? { Mode: mount.tmpfsMode } : {}),
    ...(mount.tmpfsOptions ? { Options: mount.tmpfsOptions.split(',').map((word) => [word]) } : {}),
  };
}

function driverJson({ volumeDriver, volumeOptions = {} }: Mount): object {
  if (!volumeDriver && Object.keys(volumeOptions).length === 0) return {};
  const Options = Object.keys(volumeOptions).length > 0 ? { Options: volumeOptions } : {};
  return { DriverConfig: { ...(volumeDriver ? { Name: volumeDriver } : {}), ...Options } };
}
