// What gantry-runtime hands over: terminals to a console socket, seccomp listeners, and descriptors to containers. The other
// ends are Python's, which can receive descriptors.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bundles, createBundles, eventually } from '../helpers/bundles.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { runtimeProgram } from '../helpers/runtimes.ts';

const receive = `
import array, fcntl, os, socket, struct, sys, termios
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
c, _ = s.accept()
text, control, _, _ = c.recvmsg(65536, socket.CMSG_SPACE(4))
fd = array.array('i', control[0][2])[0]
print(text.decode(), flush=True)
`;
const terminal = `${receive}
print('size', *struct.unpack('HHHH', fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))[:2], flush=True)
os.write(fd, b'typed\\n')
try:
    while chunk := os.read(fd, 4096): print(chunk.decode(), end='', flush=True)
except OSError: print('end', flush=True)
`;
/** Answers one call with ENOMSG, "No message of desired type". */
const listener = `${receive}
call = bytearray(80)
fcntl.ioctl(fd, 0xc0502100, call)
fcntl.ioctl(fd, 0xc0182101, struct.pack('QqiI', struct.unpack_from('Q', call)[0], 0, -42, 0))
`;

/** A shell's own look at its descriptors, without one more. */
const SHOW = 'for n in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/1/fd/$n ] || echo -n $n; done; echo';

const hasPython = spawnSync('python3', ['--version']).error === undefined;
if (!hasPython) console.log('Descriptors are not handed over: python3 is not installed');

describe.skipIf(whyNoContainers() || !hasPython)('gantry-runtime hands over', () => {
  let bundles: Bundles;
  let peer: ChildProcess | undefined;
  let heard = '';
  beforeAll(() => {
    bundles = createBundles();
  });
  afterAll(() => {
    peer?.kill('SIGKILL');
    bundles.close();
  });

  async function listen(script: string, name: string): Promise<string> {
    const path = join(bundles.directory, name);
    heard = '';
    peer = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    peer.stdout?.on('data', (chunk) => {
      heard += chunk;
    });
    await eventually(() => existsSync(path), 'a socket');
    return path;
  }
  const told = (text: string) => eventually(() => heard.includes(text), `${text} in ${heard}`);

  it('a terminal of a container', async () => {
    const socket = await listen(terminal, 'console');
    const bundle = bundles.bundle((config) => {
      config.process.terminal = true;
      config.process.consoleSize = { height: 33, width: 77 };
      config.process.args = ['sh', '-c', 'tty; read word; echo "got $word"; ls -l /dev/console'];
    });
    expect(bundles.call('create', '--bundle', bundle, '--console-socket', socket, 'term')).toMatchObject({ status: 0 });
    await told('size 33 77');
    expect(heard).toMatch(/^\/dev\/ptmx/);
    expect(bundles.call('start', 'term').status).toBe(0);
    await told('end');
    expect(heard).toContain('/dev/pts/0');
    expect(heard).toContain('got typed');
    expect(heard).toMatch(/crw--w---- .* 136, +0 .*\/dev\/console/);
    await eventually(() => bundles.state('term').status === 'stopped', 'its end');
    expect(bundles.call('delete', 'term').status).toBe(0);
  });

  it('a terminal of a further process', async () => {
    bundles.call('create', '--bundle', bundles.bundle(), 'second');
    bundles.call('start', 'second');
    const socket = await listen(terminal, 'exec-console');
    const words = [
      'exec',
      '--tty',
      '--detach',
      '--console-socket',
      socket,
      'second',
      'sh',
      '-c',
      'tty; read word; echo $word',
    ];
    expect(bundles.call(...words)).toMatchObject({ status: 0, stderr: '' });
    await told('end');
    expect(heard).toContain('/dev/pts/0');
    expect(bundles.call('exec', '--tty', '--detach', 'second', 'true').stderr).toContain('nobody takes it');
    bundles.call('delete', '--force', 'second');
  });

  it('the listener of a seccomp filter, with the state of the container', async () => {
    const path = await listen(listener, 'listener');
    const bundle = bundles.bundle((config) => {
      config.process.args = ['mkdir', '/tmp/notified'];
      config.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        listenerPath: path,
        listenerMetadata: 'of the test',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_NOTIFY' }],
      };
    });
    const ran = bundles.call('run', '--bundle', bundle, 'notified');
    expect(ran.stderr).toContain('No message of desired type');
    expect(ran.status).toBe(1);
    await told('}');
    expect(JSON.parse(heard)).toMatchObject({
      fds: ['seccompFd'],
      metadata: 'of the test',
      state: { id: 'notified', bundle },
    });
  });

  it('descriptors that are asked for, and no other', () => {
    const file = join(bundles.directory, 'handed');
    writeFileSync(file, 'handed over\n');
    const run = (script: string, words: string[], env: Record<string, string> = {}): string => {
      const bundle = bundles.bundle((config) => {
        config.process.args = ['sh', '-c', script];
      });
      const out = openSync(join(bundles.directory, 'said'), 'w');
      const fds = [file, file].map((name) => openSync(name, 'r'));
      const args = ['--root', join(bundles.directory, 'state'), 'run', '--bundle', bundle, ...words, 'fds'];
      const { status } = spawnSync(runtimeProgram, args, {
        stdio: ['ignore', out, out, ...fds],
        env: { ...process.env, ...env },
      });
      for (const fd of [...fds, out]) closeSync(fd);
      expect(status).toBe(0);
      return readFileSync(join(bundles.directory, 'said'), 'utf8').trim();
    };
    expect(run(SHOW, [])).toBe('012');
    expect(run(`${SHOW}; cat <&3`, ['--preserve-fds', '1'])).toBe('0123\nhanded over');
    expect(run('echo $LISTEN_FDS $LISTEN_PID; cat <&3', [], { LISTEN_FDS: '1' })).toBe('1 1\nhanded over');
    const bundle = bundles.bundle();
    mkdirSync(join(bundle, 'unused'));
    expect(bundles.call('create', '--bundle', bundle, '--preserve-fds', '40', 'fds').stderr).toContain('is not open');
  });
});
