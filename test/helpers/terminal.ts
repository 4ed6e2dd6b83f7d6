// A real terminal (pty) around a command: what a person types goes in, what they would see comes out. Needs python3.
import { spawn, spawnSync } from 'node:child_process';
import { until } from './cli.ts';

/** Reads {"type": text} and {"size": [rows, columns]} lines; copies the terminal's output; ends with the command's status. */
const DRIVER = `
import fcntl, json, os, pty, select, signal, struct, sys, termios
rows, columns, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
def size(fd, r, c): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', r, c, 0, 0))
pid, fd = pty.fork()
if pid == 0:
    size(0, rows, columns)
    os.execvp(argv[0], argv)
pending = b''
inputs = [0, fd]
while True:
    ready, _, _ = select.select(inputs, [], [])
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            inputs.remove(0)
        pending += data
        while b'\\n' in pending:
            line, pending = pending.split(b'\\n', 1)
            message = json.loads(line)
            if 'type' in message: os.write(fd, message['type'].encode('latin1'))
            if 'size' in message: size(fd, *message['size'])
            if 'signal' in message: os.kill(pid, message['signal'])
    if fd in ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b''
        if not data:
            break
        os.write(1, data)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
`;

export interface Terminal {
  /** Keys as they are: "\r" is Enter, "\x03" Ctrl-C. */
  type(keys: string): void;
  resize(rows: number, columns: number): void;
  /** To the command itself. */
  signal(number: number): void;
  /** Everything shown so far. */
  readonly shown: string;
  /** Waits until what was shown since the last call of this matches. */
  see(wanted: RegExp | string): Promise<void>;
  /** Status of the command. */
  readonly exit: Promise<number>;
}

export function whyNoTerminal(): string {
  const missing = spawnSync('python3', ['-c', 'import pty']).status === 0 ? '' : 'python3 is not installed';
  if (missing) console.log(`Terminals are not tested: ${missing}`);
  return missing;
}

export function openTerminal(env: NodeJS.ProcessEnv, argv: string[], [rows, columns] = [24, 80]): Terminal {
  const child = spawn('python3', ['-c', DRIVER, String(rows), String(columns), ...argv], {
    env: { ...env, TERM: 'xterm' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  let seen = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk;
  });
  const exit = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  const send = (message: object): void => void child.stdin.write(`${JSON.stringify(message)}\n`);
  child.stdin.on('error', () => {});
  return {
    type: (keys) => send({ type: keys }),
    resize: (newRows, newColumns) => send({ size: [newRows, newColumns] }),
    signal: (number) => send({ signal: number }),
    get shown() {
      return shown;
    },
    async see(wanted) {
      const pattern = typeof wanted === 'string' ? new RegExp(wanted.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')) : wanted;
      await until(() => pattern.test(shown.slice(seen))).catch(() => {
        throw new Error(`Waited 10 s for ${pattern} on a terminal that shows ${JSON.stringify(shown.slice(seen))}`);
      });
      seen += pattern.exec(shown.slice(seen))!.index + pattern.exec(shown.slice(seen))![0].length;
    },
    exit,
  };
}
