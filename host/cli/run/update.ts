// `update`: limits and restart policy of containers that are there.
import { GantryError } from '../../errors.ts';
import { type Command, MANY } from '../command.ts';
import { resources, restartPolicy } from './create-body.ts';
import { forEachName } from '../each.ts';
import { containerFlags } from './run-flags.ts';

const names =
  'blkio-weight cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems kernel-memory memory memory-reservation memory-swap pids-limit restart'.split(
    ' ',
  );

export const update: Command = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Update configuration of one or more containers',
  flags: containerFlags.filter(({ name }) => names.includes(name)),
  args: [1, MANY],
  async run(parsed, { api }) {
    if (!names.some((name) => parsed.has(name)))
      throw new GantryError('INVALID_ARGUMENT', 'You must provide one or more flags when using this command');
    const body = {
      ...resources(parsed),
      ...(parsed.has('restart') ? { RestartPolicy: restartPolicy(parsed.value('restart')) } : {}),
    };
    return forEachName(parsed.args, async (name) => {
      const path = `/containers/${encodeURIComponent(name)}/update`;
      const { Warnings } = await api.send<{ Warnings: string[] | null }>('POST', path, { body });
      for (const warning of Warnings ?? []) process.stderr.write(`WARNING: ${warning}\n`);
      return name;
    });
  },
};
