// A sanitized executor is fed damaged programs: every one ends in a clean report, none in a crash.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FRAME_FAILED, FRAME_HEADER, HEADER_SIZE, OP_SIZE } from '../../core-asm/abi.ts';
import { planContainer } from '../../host/core/plans.ts';
import { readProgram } from '../../host/core/program.ts';
import { createFrameReader, frames, readFailure } from '../../host/frames.ts';
import { until } from '../helpers/cli.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';
import { configurations } from '../plans/configurations.ts';

const source = join(import.meta.dirname, '../../host/linux/executor');
const probe = spawnSync('cc', ['-fsanitize=address,undefined', '-x', 'c', '-', '-o', '/dev/null'], {
  input: 'int main(void){return 0;}',
});
const reason = probe.status !== 0 ? 'the compiler has no sanitizers' : process.getuid?.() !== 0 ? 'root is needed' : '';
if (reason) console.log(`The sanitized executor is not tested: ${reason}`);

/** The same numbers at every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe.skipIf(reason)('an executor with sanitizers', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-faults-'));
  const socket = join(directory, 'executor.sock');
  let child: ReturnType<typeof spawn>;
  let complaints = '';

  beforeAll(async () => {
    const files = readdirSync(source)
      .filter((name) => name.endsWith('.c'))
      .map((name) => join(source, name));
    const binary = join(directory, 'sanitized');
    for (const name of ['tree/bin', 'empty', 'empty-mask']) mkdirSync(join(directory, name), { recursive: true });
    execFileSync('cc', [
      '-std=gnu11',
      '-O1',
      '-g',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=undefined',
      '-o',
      binary,
      ...files,
    ]);
    // An empty root of its own, no other processes, no network: whatever a damaged program asks for, there is nothing to harm.
    const jail = `mount -t tmpfs none /mnt && mkdir /mnt/w && mount --bind ${directory} /mnt/w && mkdir /mnt/lib /mnt/lib64 /mnt/usr /mnt/proc /mnt/dev && mount --bind -o ro /lib /mnt/lib && mount --bind -o ro /lib64 /mnt/lib64 && mount --bind -o ro /usr /mnt/usr && mount -o remount,bind,ro /mnt/lib && mount -o remount,bind,ro /mnt/lib64 && mount -o remount,bind,ro /mnt/usr && mount -t proc proc /mnt/proc && touch /mnt/dev/null && mount --bind /dev/null /mnt/dev/null && exec chroot /mnt /w/sanitized serve /w/executor.sock`;
    child = spawn('unshare', ['-m', '-p', '-n', '-i', '-u', '--fork', '--kill-child', 'sh', '-c', jail], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1' },
    });
    child.stderr?.on('data', (chunk) => {
      complaints += chunk;
    });
    await until(() => spawnSync('test', ['-S', socket]).status === 0, `the executor: ${complaints}`);
  });

  afterAll(async () => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    child.kill('SIGKILL');
    await gone;
    rmSync(directory, { recursive: true, force: true });
  });

  /** Sends bytes, waits for the connection's end, returns the types of the frames that came. */
  function send(bytes: Uint8Array): Promise<number[]> {
    return new Promise((resolve, reject) => {
      const connection = connect(socket);
      let answer = Buffer.alloc(0);
      const timer = setTimeout(() => {
        connection.destroy();
        resolve([]);
      }, 3000);
      connection.on('data', (chunk: Buffer) => {
        answer = Buffer.concat([answer, chunk]);
      });
      connection.on('error', (error: NodeJS.ErrnoException) => {
        if (!['EPIPE', 'ECONNRESET'].includes(error.code ?? '')) reject(error);
      });
      connection.once('close', () => {
        clearTimeout(timer);
        const types: number[] = [];
        for (let at = 0; at + FRAME_HEADER <= answer.length; at += FRAME_HEADER + answer.readUInt32LE(at))
          types.push(answer.readUInt8(at + 4));
        resolve(types);
      });
      connection.end(bytes);
    });
  }

  const facts = hostFacts('v1', process.arch === 'arm64' ? 'aarch64' : 'x86_64');
  const names = Object.keys(configurations);
  /** As on a host with cgroups, which the jail does not have: they end early. */
  const shallow = [...names.slice(0, 12), 'user namespace, mounts'].map(
    (name) => planContainer(planRequest(facts, configurations[name])).setup,
  );
  /** Without cgroups, on a root that is there: they run to the execve. */
  const deep = ['plain', 'tmpfs', 'user', 'terminal', 'no capabilities', 'read-only root'].map((name) => {
    const request = planRequest(
      { ...facts, cgroup: { ...facts.cgroup, mounts: {}, controllers: [] } },
      configurations[name],
    );
    request.rootfs = { lower: ['/w/tree'], volatile: false };
    const files = { hosts: '', hostname: '', resolvConf: '', controlSocket: '', log: '', exitRecord: '' };
    request.paths = { ...request.paths, ...files, emptyDirectory: '/w/empty' };
    return planContainer(request).setup;
  });
  const goldens = [...shallow, ...deep];

  async function sendAndRead(program: Uint8Array): Promise<{ failure?: ReturnType<typeof readFailure> }> {
    const found: { failure?: ReturnType<typeof readFailure> } = {};
    const reader = createFrameReader();
    const connection = connect(socket);
    connection.write(frames.run(program));
    for await (const chunk of connection)
      for (const frame of reader.push(chunk as Buffer))
        if (frame.type === FRAME_FAILED) found.failure = readFailure(frame);
    return found;
  }

  async function inBatches(programs: Uint8Array[]): Promise<void> {
    for (let at = 0; at < programs.length; at += 16) {
      const types = await Promise.all(programs.slice(at, at + 16).map((program) => send(frames.run(program))));
      for (const list of types) expect(list[0] ?? 16).toBe(16);
    }
    expect(complaints).not.toMatch(/AddressSanitizer|runtime error/);
    expect(child.exitCode).toBe(null);
  }

  it('runs the whole ones to their last op', async () => {
    for (const program of deep) {
      const { failure } = await sendAndRead(program);
      expect(readProgram(program).ops[failure?.op ?? 0]?.name).toBe('execve');
    }
  });

  it('refuses every prefix', async () => {
    const [program] = goldens;
    const lengths = Array.from({ length: 700 }, (_, index) => index).concat(
      Array.from({ length: 200 }, (_, index) => 700 + index * 150),
    );
    await inBatches(lengths.filter((length) => length < program!.length).map((length) => program!.subarray(0, length)));
  });

  it('survives thousands of mutations', async () => {
    const random = createRandom(20261124);
    const mutate = (): Uint8Array => {
      const program = goldens[random(goldens.length)]!.slice();
      const ops = new DataView(program.buffer).getUint32(8, true);
      for (let changes = 1 + random(6); changes > 0; changes--) {
        // Mostly in the ops, where every field means something.
        const at = random(4) > 0 ? HEADER_SIZE + random(ops * OP_SIZE) : random(program.length);
        program[at] = random(2) ? random(256) : program[at]! ^ (1 << random(8));
      }
      return program;
    };
    await inBatches(Array.from({ length: 3000 }, mutate));
  });

  it('survives damaged frames', async () => {
    const random = createRandom(7);
    const junk = Array.from({ length: 500 }, () => {
      const bytes = Buffer.from(frames.run(goldens[0]!.subarray(0, 400)));
      for (let changes = 0; changes < 4; changes++) bytes[random(24)] = random(256);
      return bytes;
    });
    for (let at = 0; at < junk.length; at += 16) await Promise.all(junk.slice(at, at + 16).map(send));
    expect(complaints).not.toMatch(/AddressSanitizer|runtime error/);
    expect((await send(frames.run(goldens[0]!.subarray(0, 10)))).slice(0, 2)).toEqual([16, 19]);
  });
});
