// What becomes of a container that goes: its name, its files, its anonymous volumes.
import { existsSync } from 'node:fs';
import type { Container } from '../container.ts';
import type { Announce } from '../container-events.ts';
import type { Context } from '../context.ts';
import { SIGKILL } from '../signals.ts';
import { removeRecord, writeRecord } from '../state/state-store.ts';

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
  const ownVolumes = ({ record }: Container): string[] => {
    const anonymous = new Set(volumes.list().flatMap((volume) => (volume.anonymous ? volume.name : [])));
    return record.mounts.map(({ name }) => name).filter((name) => anonymous.has(name));
  };
  /** Its volumes would be nobody's if the engine died between them and the container. */
  const note = ({ record, files }: Container): void => {
    if (record.removing) return;
    record.removing = true;
    writeRecord(record.config.host.autoRemove ? files.volatileRecord : files.record, record);
  };

  const removal: Removal = {
    discard(container, withVolumes) {
      if (container.removed) return;
      removal.dismiss(container);
      removal.discardFiles(container, withVolumes);
    },
    dismiss(container) {
      if (container.record.config.host.autoRemove && ownVolumes(container).length > 0) note(container);
      else if (container.record.config.host.autoRemove) removeRecord(container.files.volatileRecord);
      container.removed = true;
      for (const copy of container.copies) copy.signal(SIGKILL);
      forget(container);
      announce(container, 'destroy');
      container.tellRemoved();
    },
    discardFiles(container, withVolumes) {
      const { files, record, copies } = container;
      const going = withVolumes ? ownVolumes(container) : [];
      if (going.length > 0) note(container);
      for (const name of going) {
        // --volumes-from shares it: the last one takes it along.
        if (isMounted(name)) continue;
        volumes.remove(name);
        events.emit('volume', 'destroy', name, { driver: 'local' });
      }
      // That of others holds their record, and must leave its place at once; and what still copies, or failed to start, might
      // mount its root a last time.
      const serves = record.config.host.autoRemove && record.state.error === '' && copies.size === 0;
      // An engine that died had removed it, and not the rest.
      if (existsSync(files.directory)) {
        if (serves) spareDirectories.give(files.directory);
        else trash.take(files.directory);
      }
      if (record.config.host.autoRemove) removeRecord(files.volatileRecord);
      trash.remove(files.runDirectory);
    },
  };
  return removal;
}
