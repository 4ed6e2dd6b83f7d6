// What becomes of a container that goes: its name, its files, its anonymous volumes.
import type { Container } from '../container.ts';
import type { Announce } from '../container-events.ts';
import type { Context } from '../context.ts';
import { SIGKILL } from '../signals.ts';
import { removeRecord } from '../state-store.ts';

export interface Removal {
  /** All of it. */
  discard(container: Container, withVolumes: boolean): void;
  /** From here on nobody finds it, and its name is free. */
  dismiss(container: Container): void;
  /** The rest, once it is torn down. */
  discardFiles(container: Container, withVolumes: boolean): void;
}

export function createRemoval(
  { events, spareDirectories, trash, volumes }: Context,
  announce: Announce,
  forget: (container: Container) => void,
  isMounted: (volume: string) => boolean,
): Removal {
  const removal: Removal = {
    discard(container, withVolumes) {
      if (container.removed) return;
      removal.dismiss(container);
      removal.discardFiles(container, withVolumes);
    },
    dismiss(container) {
      container.removed = true;
      for (const copy of container.copies) copy.signal(SIGKILL);
      forget(container);
      if (container.record.config.host.autoRemove) removeRecord(container.files.volatileRecord);
      announce(container, 'destroy');
      container.tellRemoved();
    },
    discardFiles({ record, files, copies }, withVolumes) {
      // That of others holds their record, and must leave its place at once; and what still copies, or failed to start, might
      // mount its root a last time.
      const serves = record.config.host.autoRemove && record.state.error === '' && copies.size === 0;
      if (serves) spareDirectories.give(files.directory);
      else trash.take(files.directory);
      trash.remove(files.runDirectory);
      if (!withVolumes) return;
      for (const { name } of record.mounts) {
        const volume = name === '' ? undefined : volumes.list().find((found) => found.name === name);
        // --volumes-from shares it: the last one takes it along.
        if (!volume?.anonymous || isMounted(name)) continue;
        volumes.remove(name);
        events.emit('volume', 'destroy', name, { driver: 'local' });
      }
    },
  };
  return removal;
}
