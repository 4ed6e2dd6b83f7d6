// Which container a user means.
import { GantryError } from '../errors.ts';
import type { Container } from './container.ts';

/** By ID, name or unique beginning of an ID. @throws {GantryError} CONTAINER_NOT_FOUND, INVALID_ARGUMENT. */
export function findContainer(containers: Map<string, Container>, name: string): Container {
  const wanted = name.replace(/^\//, '');
  const exact = containers.get(wanted);
  if (exact !== undefined) return exact;
  const all = [...containers.values()];
  const byName = all.find(({ record }) => record.name === wanted);
  if (byName !== undefined) return byName;
  const byPrefix = /^[a-f0-9]+$/.test(wanted) ? all.filter(({ record }) => record.id.startsWith(wanted)) : [];
  if (byPrefix.length > 1)
    throw new GantryError('INVALID_ARGUMENT', `Multiple IDs found with provided prefix: ${wanted}`, {
      hint: 'Give more digits',
    });
  if (byPrefix[0] !== undefined) return byPrefix[0];
  throw new GantryError('CONTAINER_NOT_FOUND', `No such container: ${name}`, { hint: '"gantry ps -a" lists them' });
}
