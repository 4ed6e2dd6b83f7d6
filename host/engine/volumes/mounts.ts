// The user's mounts → sources on this host: binds checked, volumes found or made, images found, --volumes-from copied.
import { existsSync, mkdirSync, type Stats, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { GantryError } from '../../errors.ts';
import type { ImageStore } from '../../image/image-store.ts';
import type { Backend } from '../../backend.ts';
import type { PlanMount } from '../../plan-types.ts';
import type { ContainerConfig, Image, Mount } from '../../types.ts';
import type { Events } from '../events.ts';
import { checkPropagation } from './propagation.ts';
import type { ContainerRecord, MountPoint } from '../record.ts';
import { checkSubpath, statInside } from './subpath.ts';
import { isVolatile } from './volume-options.ts';
import type { Volume, VolumeSpec, Volumes } from './volumes.ts';

export interface Settling {
  volumes: Volumes;
  images: Pick<ImageStore, 'find' | 'layerPaths'>;
  events: Events;
  /** ID of the container. */
  owner: string;
  /** A container by name. @throws {GantryError} CONTAINER_NOT_FOUND. */
  find(name: string): ContainerRecord;
  /** Told what the user should know. */
  warn(sentence: string): void;
}

/**
 * Settles every mount at creation. Volumes that do not exist are made.
 * @throws {GantryError} PATH_NOT_FOUND, INVALID_ARGUMENT, IMAGE_NOT_FOUND, VOLUME_NOT_FOUND; no volume is made then.
 */
export async function settleMounts(config: ContainerConfig, settling: Settling): Promise<MountPoint[]> {
  const { mounts, tmpfs, volumesFrom } = config.host;
  // All is looked at before the first volume is made: what is refused leaves none.
  const targets = new Set<string>(Object.keys(tmpfs));
  const found = new Map<Mount, Image>();
  for (const mount of mounts) {
    if (targets.has(mount.target))
      throw new GantryError('INVALID_ARGUMENT', `Duplicate mount point: ${mount.target}`, {
        hint: 'Mount one thing on it',
      });
    targets.add(mount.target);
    if (mount.type === 'bind') checkSource(mount, settling.warn);
    if (mount.type === 'volume') checkVolume(mount, settling.volumes);
    if (mount.type === 'image') found.set(mount, await findImage(mount.source, settling.images));
  }
  const others = volumesFrom.map((text) => {
    const { name, readOnly } = readVolumesFrom(text);
    return settling.find(name).mounts.map((point) => ({
      ...point,
      readOnly: point.readOnly || readOnly,
      mode: '',
      copyUp: false,
    }));
  });
  const points = new Map<string, MountPoint>();
  // Of two containers the later one counts, and what is given here counts more.
  for (const point of others.flat()) points.set(point.target, point);
  for (const mount of mounts) points.set(mount.target, settle(mount, settling, found.get(mount)));
  for (const target of config.volumes) {
    if (points.has(target) || target in tmpfs) continue;
    points.set(target, { ...settle({ type: 'volume', source: '', target }, settling), mode: '' });
  }
  return [...points.values()];
}

/** Takes back what settling has made for this container alone. */
export function unsettleMounts(points: MountPoint[], volumes: Volumes): void {
  const own = points.filter(({ type, spec }) => type === 'volume' && spec?.source === '').map(({ name }) => name);
  for (const { name } of volumes.list()) if (own.includes(name)) volumes.remove(name);
}

/** What would be mounted, for a plan that is only shown: nothing is made. */
export async function previewMounts(
  { host }: ContainerConfig,
  images: Settling['images'],
  volumes: string,
): Promise<MountPoint[]> {
  return Promise.all(
    host.mounts.map(async (mount) => {
      const image = mount.type === 'image' ? await images.find(mount.source) : undefined;
      return {
        type: mount.type,
        name: mount.type === 'volume' ? mount.source : '',
        source: mount.type === 'volume' ? join(volumes, mount.source || 'anonymous', '_data') : mount.source,
        target: mount.target,
        readOnly: mount.readOnly ?? false,
        propagation: mount.propagation ?? '',
        copyUp: mount.type === 'volume' && mount.noCopy !== true,
        ...(image === undefined ? {} : { image: { id: image.id, layers: images.layerPaths(image) } }),
      };
    }),
  );
}

/** Another code than that of the container's own image, which clients pull and try again. */
function findImage(name: string, images: Settling['images']): Promise<Image> {
  return images.find(name).catch((cause: unknown) => {
    if (!(cause instanceof GantryError) || cause.code !== 'IMAGE_NOT_FOUND') throw cause;
    throw new GantryError('PATH_NOT_FOUND', cause.message, { hint: cause.hint, cause });
  });
}

/** "NAME[:ro|rw|z|Z]". @throws {GantryError} INVALID_ARGUMENT. */
function readVolumesFrom(text: string): { name: string; readOnly: boolean } {
  const [name = '', modes = ''] = text.split(/:(.*)/s);
  const words = modes.split(',').filter(Boolean);
  if (name === '' || words.some((word) => !['ro', 'rw', 'z', 'Z'].includes(word)))
    throw new GantryError(
      'INVALID_ARGUMENT',
      name === '' ? 'Volumes-from specification cannot be an empty string' : `Invalid mode: ${modes}`,
      { hint: '--volumes-from CONTAINER[:ro]' },
    );
  return { name, readOnly: words.includes('ro') };
}

function specOf({ volumeDriver = '', volumeLabels = {}, volumeOptions = {} }: Mount): VolumeSpec {
  return { driver: volumeDriver, labels: volumeLabels, options: volumeOptions };
}

function checkVolume(mount: Mount, volumes: Volumes): void {
  volumes.check(mount.source, specOf(mount));
  const refuse = (reason: string): GantryError =>
    new GantryError('INVALID_ARGUMENT', `Invalid mount config for type "volume": ${reason}`);
  if (mount.source === '' && mount.readOnly) throw refuse('must not set ReadOnly mode when using anonymous volumes');
  if (mount.volumeSubpath === undefined) return;
  if (mount.source === '') throw refuse('must not set Subpath when using anonymous volumes');
  checkSubpath(mount.volumeSubpath);
}

function settle(mount: Mount, { volumes, images, events, owner }: Settling, image?: Image): MountPoint {
  const point = {
    type: mount.type,
    name: '',
    source: mount.source,
    target: mount.target,
    readOnly: mount.readOnly ?? false,
    mode: modeOf(mount),
    propagation: mount.propagation ?? (mount.type === 'bind' ? 'rprivate' : ''),
    copyUp: false,
    spec: mount,
    ...(mount.idmap === true ? { idmap: true } : {}),
  };
  if (image !== undefined) {
    const layers = images.layerPaths(image);
    return { ...point, name: mount.source, source: layers[0] ?? '', readOnly: true, image: { id: image.id, layers } };
  }
  if (mount.type !== 'volume') return point;
  const volume = volumes.ensure(mount.source, specOf(mount), owner);
  if (volume.made) events.emit('volume', 'create', volume.name, { driver: 'local' });
  return { ...point, name: volume.name, source: volume.path, copyUp: fills(mount, volume) };
}

/** Of a volume that has been used already, a part may be filled: an empty directory that was made for that. */
function fills(mount: Mount, volume: Volume & { fresh: boolean }): boolean {
  if (mount.noCopy === true || isVolatile(volume)) return false;
  return volume.fresh || mount.volumeSubpath !== undefined;
}

/** Options as they were written; docker's "z" of volumes without any means nothing where there is no SELinux. */
function modeOf({ type, spelled }: Mount): string {
  return spelled?.split(':')[2] || (type === 'volume' ? 'z' : '');
}

function checkSource({ source, target, createSource }: Mount, warn: Settling['warn']): void {
  if (!isAbsolute(source))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid mount config for type "bind": invalid mount path: '${source}' mount path must be absolute`,
    );
  if (statSync(source, { throwIfNoEntry: false }) !== undefined) return;
  if (createSource !== true)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Invalid mount config for type "bind": bind source path does not exist: ${source}`,
      {
        hint: `Make it first: mkdir -p "${source}"; -v "${source}:${target}" would make it too`,
      },
    );
  makeSource(source);
  // Docker says nothing, and a path with a mistake in it is an empty directory in the container.
  warn(`Nothing was at ${source}: an empty directory was made there, and is mounted on ${target}`);
}

function makeSource(source: string): void {
  try {
    mkdirSync(source, { recursive: true });
  } catch (cause) {
    throw new GantryError('PERMISSION_DENIED', `Cannot make the bind source "${source}": ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** What the plan needs of the settled mounts. A source may have gone since creation: told here, with its path. */
export function planMounts(record: ContainerRecord, backend: Pick<Backend, 'sourceOf'>, preview = false): PlanMount[] {
  const given = new Map(record.config.host.mounts.map((mount) => [mount.target, mount]));
  return record.mounts.map((point) => {
    const { type, source, target } = point;
    const mount = point.spec ?? given.get(target) ?? { type, source, target };
    const absent = preview && type === 'volume' && !existsSync(source);
    const stats = absent ? undefined : statSource(point, mount);
    if (stats !== undefined) checkPropagation(source, point.propagation);
    const isDirectory = stats?.isDirectory() ?? true;
    return {
      ...mount,
      source: type === 'bind' ? backend.sourceOf(point) : source,
      readOnly: point.readOnly,
      ...(point.idmap === true ? { idmap: true } : {}),
      ...(point.propagation === '' ? {} : { propagation: point.propagation }),
      ...(point.image === undefined ? {} : { layers: point.image.layers }),
      sourceIsDirectory: isDirectory,
      copyUp: point.copyUp && isDirectory,
    };
  });
}

/** Undefined for what is no directory or file of the host. */
function statSource({ type, source, target }: MountPoint, { volumeSubpath, createSource }: Mount): Stats | undefined {
  if (type === 'tmpfs' || type === 'image') return undefined;
  if (volumeSubpath !== undefined) return statInside(source, volumeSubpath);
  let stats = statSync(source, { throwIfNoEntry: false });
  if (stats === undefined && type === 'bind' && createSource === true) {
    makeSource(source);
    stats = statSync(source);
  }
  if (stats === undefined)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot mount "${source}" on "${target}": bind source path does not exist: ${source}`,
      {
        hint: 'It was there when the container was created; make it again',
      },
    );
  return stats;
}
