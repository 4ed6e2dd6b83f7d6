// Which container has which name: taken before anything is waited for, so that two who ask at once do not both get it.
import { GantryError } from '../errors.ts';
import { newName } from './names.ts';

export interface TakenNames {
  /** @param doing words before docker's own. @throws {GantryError} NAME_IN_USE. */
  take(name: string, id: string, doing?: string): void;
  /** Of a container that an earlier engine made. */
  keep(name: string, id: string): void;
  /** Takes a name that nobody has. */
  choose(id: string): string;
  /** Gives a name back; that of another container stays. */
  release(name: string, id: string): void;
}

export function createTakenNames(): TakenNames {
  const owners = new Map<string, string>();
  return {
    take(name, id, doing = '') {
      const owner = owners.get(name);
      if (owner !== undefined)
        throw new GantryError(
          'NAME_IN_USE',
          `${doing}Conflict. The container name "/${name}" is already in use by container "${owner}"`,
          { hint: `Remove (or rename) that container to be able to reuse that name: gantry rm ${name}` },
        );
      owners.set(name, id);
    },
    keep(name, id) {
      if (!owners.has(name)) owners.set(name, id);
    },
    choose(id) {
      const name = newName((wanted) => owners.has(wanted));
      owners.set(name, id);
      return name;
    },
    release(name, id) {
      if (owners.get(name) === id) owners.delete(name);
    },
  };
}
