// Docker's body of POST /containers/ID/update → the engine's words.
import type { Update } from '../../engine/lifecycle/update.ts';
import { GantryError } from '../../errors.ts';
import { readRestartPolicy } from './create-body.ts';
import { readFields } from './fields.ts';
import { readResources } from './resource-fields.ts';

/** What can be changed while a container is there; the rest is settled at its creation. */
const changeable = new Set(
  'blkioWeight cpuPeriod cpuQuota cpuRealtimePeriod cpuRealtimeRuntime cpuShares cpusetCpus cpusetMems memory memoryReservation memorySwap nanoCpus pidsLimit'.split(
    ' ',
  ),
);

/** @throws {GantryError} INVALID_ARGUMENT, UNSUPPORTED with the field's name. */
export function readUpdateBody(body: unknown): Update {
  const fields = readFields(body, '');
  const pids = fields.number('PidsLimit');
  const policy = fields.child('RestartPolicy');
  const own = fields.child('Gantry');
  const resources = readResources(fields, own);
  // 0 takes a limit away, as -1 does.
  if (pids !== undefined && pids <= 0) resources.pidsLimit = -1;
  own.finish();
  const restartPolicy = policy.has('Name') && policy.text('Name') !== '' ? readRestartPolicy(policy) : undefined;
  fields.finish();
  for (const name of Object.keys(resources))
    if (!changeable.has(name))
      throw new GantryError('UNSUPPORTED', `Cannot change ${name} of a container that is there`, {
        hint: 'Create another container',
      });
  return { resources, ...(restartPolicy === undefined ? {} : { restartPolicy }) };
}
