// What a container made of its image: its changes, and a new image from both.
import { GantryError } from '../errors.ts';
import type { Commit } from '../image/new-image.ts';
import { applyInstructions } from '../image/instructions.ts';
import { familiarReference, parseReference } from '../image/reference.ts';
import type { Change } from '../image/unpack.ts';
import type { Image, ImageConfig } from '../types.ts';
import type { Announce } from './container-events.ts';
import { checkAble } from './abilities.ts';
import type { Container } from './container.ts';
import type { Context } from './context.ts';
import type { Lifecycle } from './lifecycle/lifecycle.ts';

export interface CommitOptions extends Pick<Commit, 'author' | 'comment'> {
  /** Name and tag; absent: none. */
  target?: string | undefined;
  /** Dockerfile instructions. */
  changes: string[];
  /** What a client asks for in place of the container's own; empty parts are the container's. */
  config?: Partial<ImageConfig> | undefined;
  pause: boolean;
}

export interface Snapshots {
  changes(container: Container): Promise<Change[]>;
  commit(container: Container, options: CommitOptions): Promise<Image>;
}

export function createSnapshots(
  { images, files, events }: Context,
  { pause, unpause }: Pick<Lifecycle, 'pause' | 'unpause'>,
  announce: Announce,
): Snapshots {
  const stopsWhile = async <T>(container: Container, work: () => Promise<T>): Promise<T> => {
    if (container.record.state.status !== 'running') return work();
    await pause(container, true);
    try {
      return await work();
    } finally {
      await unpause(container).catch(() => {}); // It may have been killed meanwhile.
    }
  };

  return {
    async changes(container) {
      checkAble(container, 'copies');
      const image = await images.find(container.record.config.imageId);
      const found = await images.changes(image, container.files.upper, files.scaffold);
      checkThere(container);
      return found;
    },
    async commit(container, { target, changes, config, pause: pauses, author, comment }) {
      const { record } = container;
      checkThere(container);
      checkAble(container, 'copies');
      const parent = await images.find(record.config.imageId);
      const commit: Commit = {
        upper: container.files.upper,
        config: applyInstructions({ ...ownConfig(container, parent), ...config }, changes),
        author,
        comment,
        createdBy: record.config.command.join(' '),
        stillThere: () => checkThere(container),
      };
      const work = (): Promise<Image> => images.commit(parent, commit, target);
      const image = await (pauses ? stopsWhile(container, work) : work());
      const imageRef = target === undefined ? '' : familiarReference(parseReference(target));
      if (imageRef !== '') events.emit('image', 'tag', image.id, { ...image.config.labels, name: imageRef });
      announce(container, 'commit', { comment, imageID: image.id, imageRef });
      return image;
    },
  };
}

/** The directory of a container that has gone may serve another already. */
function checkThere({ removed, record }: Container): void {
  if (removed) throw new GantryError('CONTAINER_NOT_FOUND', `No such container: ${record.name}`);
}

function ownConfig({ record: { config } }: Container, { config: { shell } }: Image): ImageConfig {
  const { user, exposedPorts, env, entrypoint, command, volumes, workingDir, labels, stopSignal, healthcheck } = config;
  return {
    ...{ user, exposedPorts, env, entrypoint, command, volumes, workingDir, labels },
    stopSignal: stopSignal === 'SIGTERM' ? '' : stopSignal, // The default, which no image has to say.
    ...(healthcheck ? { healthcheck } : {}),
    ...(shell ? { shell } : {}),
  };
}
