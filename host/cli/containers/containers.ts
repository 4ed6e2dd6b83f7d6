// Commands that change containers by name, one request each.
import { GantryError } from '../../errors.ts';
import { type Command, MANY } from '../command.ts';
import { forEachName } from '../each.ts';
import type { Flag } from '../flags.ts';
import { tableLines } from '../format/table.ts';

const NAMES = 'CONTAINER [CONTAINER...]';
const path = (name: string): string => `/containers/${encodeURIComponent(name)}`;

const time: Flag = {
  name: 'timeout',
  short: 't',
  kind: 'value',
  value: 'int',
  help: 'Seconds to wait before killing the container',
};
const timeAlias: Flag = { name: 'time', kind: 'value', value: 'int', help: '', hidden: true };
const signal: Flag = {
  name: 'signal',
  short: 's',
  kind: 'value',
  value: 'string',
  help: 'Signal to send to the container',
};

/** A command that posts one request for each name and prints the name. */
function post(action: string, summary: string, flags: Flag[] = []): Command {
  return {
    usage: `${flags.length > 0 ? '[OPTIONS] ' : ''}${NAMES}`,
    summary,
    flags,
    args: [1, MANY],
    async run(parsed, { api }) {
      const t = parsed.number('timeout') ?? parsed.number('time');
      return forEachName(parsed.args, async (name) => {
        await api.send('POST', `${path(name)}/${action}`, { query: { t, signal: parsed.value('signal') } });
        return name;
      });
    },
  };
}

const rm: Command = {
  usage: `[OPTIONS] ${NAMES}`,
  summary: 'Remove one or more containers',
  flags: [
    { name: 'force', short: 'f', kind: 'switch', help: 'Force the removal of a running container (uses SIGKILL)' },
    { name: 'link', short: 'l', kind: 'switch', help: '', hidden: true, refused: 'a link goes with either container' },
    { name: 'volumes', short: 'v', kind: 'switch', help: 'Remove anonymous volumes associated with the container' },
  ],
  args: [1, MANY],
  run: (parsed, { api }) =>
    forEachName(parsed.args, async (name) => {
      const query = { force: parsed.switch('force'), v: parsed.switch('volumes') };
      try {
        await api.send('DELETE', path(name), { query });
        return name;
      } catch (error) {
        // As docker: what is gone already is told, and no failure of a forced removal.
        if (!(parsed.switch('force') && error instanceof GantryError && error.code === 'CONTAINER_NOT_FOUND'))
          throw error;
        process.stderr.write(`gantry: ${error.message}\n`);
        return undefined;
      }
    }),
};

const rename: Command = {
  usage: 'CONTAINER NEW_NAME',
  summary: 'Rename a container',
  flags: [],
  args: [2, 2],
  async run({ args }, { api }) {
    await api.send('POST', `${path(args[0]!)}/rename`, { query: { name: args[1] } });
    return 0;
  },
};

const wait: Command = {
  usage: NAMES,
  summary: 'Block until one or more containers stop, then print their exit codes',
  flags: [],
  args: [1, MANY],
  run: (parsed, { api }) =>
    forEachName(parsed.args, async (name) =>
      String((await api.send<{ StatusCode: number }>('POST', `${path(name)}/wait`)).StatusCode),
    ),
};

const port: Command = {
  usage: 'CONTAINER [PRIVATE_PORT[/PROTO]]',
  summary: 'List port mappings or a specific mapping for the container',
  flags: [],
  args: [1, 2],
  async run({ args }, { api }) {
    const [name = '', wanted] = args;
    const inspected = await api.send<{
      NetworkSettings: { Ports: Record<string, { HostIp: string; HostPort: string }[] | null> };
    }>('GET', `${path(name)}/json`);
    const key = wanted === undefined || wanted.includes('/') ? wanted : `${wanted}/tcp`;
    const address = ({ HostIp, HostPort }: { HostIp: string; HostPort: string }): string =>
      `${HostIp.includes(':') ? `[${HostIp}]` : HostIp}:${HostPort}`;
    const lines = Object.entries(inspected.NetworkSettings.Ports)
      .filter(([found]) => key === undefined || found === key)
      .flatMap(([found, list]) =>
        (list ?? []).map((binding) => (key === undefined ? `${found} -> ${address(binding)}` : address(binding))),
      );
    if (key !== undefined && lines.length === 0)
      throw new GantryError('PORT_IN_USE', `No public port '${key}' published for ${name}`);
    for (const line of lines) process.stdout.write(`${line}\n`);
    return 0;
  },
};

const top: Command = {
  usage: 'CONTAINER [ps OPTIONS]',
  summary: 'Display the running processes of a container',
  flags: [],
  ordered: true,
  args: [1, MANY],
  async run({ args: [name = '', ...options] }, { api }) {
    const { Titles, Processes } = await api.send<{ Titles: string[]; Processes: string[][] }>(
      'GET',
      `${path(name)}/top`,
      { query: { ps_args: options.join(' ') } },
    );
    process.stdout.write(`${tableLines(Titles, Processes, 20).join('\n')}\n`);
    return 0;
  },
};

export const commands: Record<string, Command> = {
  stop: post('stop', 'Stop one or more running containers', [time, timeAlias, signal]),
  restart: post('restart', 'Restart one or more containers', [time, timeAlias, signal]),
  kill: post('kill', 'Kill one or more running containers', [signal]),
  pause: post('pause', 'Pause all processes within one or more containers'),
  unpause: post('unpause', 'Unpause all processes within one or more containers'),
  rm,
  rename,
  wait,
  port,
  top,
};
