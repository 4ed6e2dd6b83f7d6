// `exec`: a further process in a running container.
import { type Command, MANY } from '../command.ts';
import { readEnvironment } from './environment.ts';
import { checkTerminal } from './run.ts';
import { followSize, runSession, terminalSize } from './session.ts';

export const exec: Command = {
  usage: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  summary: 'Execute a command in a running container',
  ordered: true,
  flags: [
    { name: 'detach', short: 'd', kind: 'switch', help: 'Detached mode: run command in the background' },
    {
      name: 'detach-keys',
      kind: 'value',
      value: 'string',
      help: 'Override the key sequence for detaching a container',
    },
    { name: 'env', short: 'e', kind: 'list', value: 'list', help: 'Set environment variables' },
    { name: 'env-file', kind: 'list', value: 'list', help: 'Read in a file of environment variables' },
    { name: 'interactive', short: 'i', kind: 'switch', help: 'Keep STDIN open even if not attached' },
    { name: 'privileged', kind: 'switch', help: 'Give extended privileges to the command' },
    { name: 'tty', short: 't', kind: 'switch', help: 'Allocate a pseudo-TTY' },
    {
      name: 'user',
      short: 'u',
      kind: 'value',
      value: 'string',
      help: 'Username or UID (format: "<name|uid>[:<group|gid>]")',
    },
    { name: 'workdir', short: 'w', kind: 'value', value: 'string', help: 'Working directory inside the container' },
  ],
  args: [2, MANY],
  async run(parsed, { api }) {
    const [name = '', ...Cmd] = parsed.args;
    const detached = parsed.switch('detach');
    const tty = parsed.switch('tty');
    const stdin = parsed.switch('interactive') && !detached;
    checkTerminal(parsed, !detached);
    const { Id } = await api.send<{ Id: string }>('POST', `/containers/${encodeURIComponent(name)}/exec`, {
      body: {
        Cmd,
        AttachStdin: stdin,
        AttachStdout: !detached,
        AttachStderr: !detached,
        Tty: tty,
        Env: readEnvironment(parsed.list('env-file'), parsed.list('env')),
        User: parsed.value('user') ?? '',
        WorkingDir: parsed.value('workdir') ?? '',
        Privileged: parsed.switch('privileged'),
        ...(tty ? { ConsoleSize: terminalSize() } : {}),
      },
    });
    if (detached) {
      await api.send('POST', `/exec/${Id}/start`, { body: { Detach: true, Tty: tty } });
      return 0;
    }
    const { socket } = await api.hijack(`/exec/${Id}/start`, { body: { Detach: false, Tty: tty } });
    const stopSize = tty ? followSize(api, `/exec/${Id}`) : () => {};
    try {
      if ((await runSession(socket, { tty, stdin, detachKeys: parsed.value('detach-keys') })) === 'detached') return 0;
    } finally {
      stopSize();
    }
    const { ExitCode } = await api.send<{ ExitCode: number | null }>('GET', `/exec/${Id}/json`);
    return ExitCode ?? 0;
  },
};
