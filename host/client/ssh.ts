// A connection through ssh(1): "system dial-stdio" on the far side carries it to the engine's socket there.
import { spawn } from 'node:child_process';
import { Duplex } from 'node:stream';
import { GantryError } from '../errors.ts';
import type { SshTarget } from './target.ts';

const CONNECT_SECONDS = 30;
const SAID_MAX = 2000;
const NO_SUCH_COMMAND = 127;
const SSH_FAILED = 255;

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** For the login shell there, whichever it is: gantry, or docker where gantry is not. */
function farCommand(socket: string | undefined): string {
  const rest = `${socket === undefined ? '' : `--host ${quoted(`unix://${socket}`)} `}system dial-stdio`;
  const script = `if command -v gantry >/dev/null 2>&1; then exec gantry ${rest}; else exec docker ${rest}; fi`;
  return `sh -c ${quoted(script)}`;
}

/** Ends with an error that has what ssh said, where ssh fails. */
export function openSsh({ host, user, port, socket }: SshTarget): Duplex {
  const flags = [
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...['-o', `ConnectTimeout=${CONNECT_SECONDS}`, '-T'],
  ];
  // A session of its own: the terminal's Ctrl-C is meant for the container, and must not end the connection to it.
  const child = spawn('ssh', [...flags, '--', host, farCommand(socket)], { detached: true });
  let said = '';
  const failed = (why: string, hint: string): GantryError =>
    new GantryError('ENGINE_UNREACHABLE', `Cannot connect to the engine at "ssh://${host}": ${why}`, { hint });
  const stream = new Duplex({
    read: () => void child.stdout.resume(),
    // Where it fails, the end of the process tells why.
    write: (chunk, _encoding, done) => void child.stdin.write(chunk, () => done()),
    final: (done) => void child.stdin.end(() => done()),
    destroy(error, done) {
      child.kill();
      for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.destroy();
      process.off('exit', end);
      done(error);
    },
  });
  const end = (): void => void child.kill();
  process.once('exit', end);
  child.stdin.on('error', () => {});
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk).slice(-SAID_MAX);
  });
  child.stdout.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) child.stdout.pause();
  });
  child.once('error', (error: NodeJS.ErrnoException) => {
    const missing = error.code === 'ENOENT' ? 'ssh is not installed' : `ssh cannot be run (${error.code})`;
    stream.destroy(failed(missing, 'Install OpenSSH (apt install openssh-client)'));
  });
  child.once('close', (status) => {
    if (status === 0) stream.push(null);
    else stream.destroy(failed(said.trim() || `ssh ended with status ${status}`, hintOf(status)));
  });
  return stream;
}

function hintOf(status: number | null): string {
  if (status === NO_SUCH_COMMAND) return 'Neither gantry nor docker is in the path of that user there';
  if (status === SSH_FAILED)
    return 'Log in by hand once (ssh HOST); only keys without a question work here, such as ssh-agent has';
  return 'See what "ssh HOST gantry info" says';
}
