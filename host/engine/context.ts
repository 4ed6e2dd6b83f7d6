// What every part of the engine works with. Types only.
import type { Backend } from '../backend.ts';
import type { ImageStore } from '../image/image-store.ts';
import type { EnginePaths } from '../paths.ts';
import type { Events } from './events.ts';
import type { Backends } from './backends.ts';
import type { EngineFiles } from './state/layout.ts';
import type { Networks } from './network/networks.ts';
import type { SpareDirectories } from './state/spare-directories.ts';
import type { Trash } from './state/trash.ts';
import type { VolumeMounts } from './volumes/volume-mounts.ts';
import type { Volumes } from './volumes/volumes.ts';

export interface Context {
  paths: EnginePaths;
  files: EngineFiles;
  /** The engine's own; what concerns one container is done by that container's. */
  backend: Backend;
  backends: Backends;
  images: ImageStore;
  events: Events;
  networks: Networks;
  volumes: Volumes;
  volumeMounts: VolumeMounts;
  trash: Trash;
  spareDirectories: SpareDirectories;
}
