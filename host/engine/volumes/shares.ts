// What binds cannot be where containers see this host's files over a protocol.
import { statSync } from 'node:fs';
import { GantryError } from '../../errors.ts';
import type { HostConfig } from '../../types.ts';

/** @throws {GantryError} UNSUPPORTED. */
export function checkShares({ mounts }: HostConfig): void {
  for (const { type, source, propagation = '', idmap } of mounts) {
    if (type !== 'bind') continue;
    const refuse = (reason: string, hint: string): GantryError =>
      new GantryError('UNSUPPORTED', `Cannot bind "${source}" into the virtual machine: ${reason}`, { hint });
    const stats = statSync(source, { throwIfNoEntry: false });
    if (stats?.isSocket())
      throw refuse('a socket of this host is none of the machine', 'Publish a port, and connect to that');
    if (stats !== undefined && !stats.isDirectory() && !stats.isFile())
      throw refuse('it is neither a directory nor a file', 'Use a volume');
    if (!['', 'private', 'rprivate'].includes(propagation))
      throw refuse(
        `mounts do not propagate there, which "${propagation}" asks for`,
        'Leave bind-propagation out, and start the container again after a mount',
      );
    if (idmap === true) throw refuse('its kernel maps no IDs of shared files', 'Leave idmap out');
  }
}
