// Containers in a guest: planned here for what the guest says of itself, carried out there, spoken to as the engine does.
import { join } from 'node:path';
import { FRAME_DONE, FRAME_HELLO } from '../../core-asm/abi.ts';
import type { Exit, RunningProcess, StartOptions } from '../../host/backend.ts';
import { planContainer, planControl, planExec } from '../../host/core/plans.ts';
import { enterContainer } from '../../host/linux/backend.ts';
import { openConnection } from '../../host/linux/connection.ts';
import { readFacts } from '../../host/linux/facts.ts';
import { frames } from '../../host/frames.ts';
import { attachFlags, superviseProcess } from '../../host/linux/running-process.ts';
import type { ExecRequest, HostFacts, Plan, PlanRequest } from '../../host/plan-types.ts';
import { planRequest } from '../helpers/plan-requests.ts';
import type { Guest } from './guest.ts';

type Change = (request: PlanRequest) => void;

export interface Ended extends Exit {
  output: string;
}

export interface Container {
  id: string;
  request: PlanRequest;
  plan: Plan;
  process: RunningProcess;
  /** Directory of its cgroup in the guest. */
  cgroup: string;
  /** What it has written up to now. */
  output(): string;
  /** Waits for the exit and the end of the tear-down. */
  ended(): Promise<Ended>;
}

export interface Containers {
  guest: Guest;
  facts: HostFacts;
  plan(command: string[], change?: Change): { request: PlanRequest; plan: Plan };
  start(command: string[], change?: Change): Promise<Container>;
  run(command: string[], change?: Change): Promise<Ended>;
  exec(container: Container, args: string[], change?: Partial<ExecRequest>): Promise<Ended>;
  /** "freeze", "thaw" or "kill". */
  control(container: Container, action: string, signal?: number): Promise<void>;
}

/** A shell's command with one pipe for both streams: what two pipes bring has no order. */
export function sh(script: string): string[] {
  return ['sh', '-c', `exec 2>&1; ${script}`];
}

const silent = { frame() {}, closed() {} };

/** Reads the guest's facts and the way to its executor. */
export async function containersIn(guest: Guest): Promise<Containers> {
  const facts = await guestFacts(guest);
  const executor = join(guest.directory, 'executor.sock');
  await guest.forward(executor, '/run/executor.sock');
  let count = 0;

  const plan = (command: string[], change: Change = () => {}): { request: PlanRequest; plan: Plan } => {
    const id = `container-${++count}`;
    const request = planRequest(facts, (made) => {
      made.id = id;
      made.container.command = command;
      made.container.env = ['PATH=/bin'];
      const own = `/data/${id}`;
      made.rootfs = { lower: ['/upper-image', '/image'], upper: `${own}/upper`, work: `${own}/work`, volatile: false };
      made.paths = {
        hosts: '/etc/hosts',
        hostname: '/etc/hostname',
        resolvConf: '/etc/resolv.conf',
        controlSocket: `/run/${id}.sock`,
        log: `${own}/log`,
        exitRecord: `${own}/exit.json`,
        init: '/bin/gantry-executor',
        emptyDirectory: '/empty',
      };
      change(made);
    });
    return { request, plan: planContainer(request) };
  };

  const launch = async (
    program: Uint8Array,
    teardown: Uint8Array | undefined,
    options: StartOptions,
    path?: string,
  ) => {
    const connection = path === undefined ? await openConnection(executor, silent) : await enterContainer(path);
    const started = superviseProcess({ ...options, connection, program });
    connection.send(frames.attach(attachFlags(options)), frames.run(program, teardown));
    return collect(await started);
  };

  const containers: Containers = {
    guest,
    facts,
    plan,
    async start(command, change) {
      const made = plan(command, change);
      const { container, id } = made.request;
      await guest.ok(`mkdir -p /data/${id}/upper /data/${id}/work`);
      const options = { attachOutput: true, attachStdin: container.openStdin };
      const started = await launch(made.plan.setup, made.plan.teardown, options);
      const parent = container.host.cgroupParent || 'gantry';
      return { id, ...made, ...started, cgroup: `/sys/fs/cgroup/${parent}/${id}` };
    },
    async run(command, change) {
      return (await containers.start(command, change)).ended();
    },
    async exec({ id, request }, args, change = {}) {
      const socket = join(guest.directory, `${id}-${++count}.sock`);
      await guest.forward(socket, `/run/${id}.sock`);
      const fixed = { facts, id, container: request.container, args, env: [], workingDir: '/', user: request.user };
      const program = planExec({ ...fixed, tty: false, openStdin: false, privileged: false, ...change });
      const started = await launch(program, undefined, { attachOutput: true, attachStdin: false }, socket);
      return started.ended();
    },
    async control({ id, request }, action, signal = 0) {
      const cgroupParent = request.container.host.cgroupParent;
      const program = planControl({ facts, id, cgroupParent, action, signal });
      const connection = await openConnection(executor, silent);
      const answer = new Promise<number>((resolve) => {
        connection.listen({
          frame: ({ type }) => void (type === FRAME_HELLO || resolve(type)),
          closed: () => resolve(0),
        });
      });
      connection.send(frames.run(program));
      if ((await answer) !== FRAME_DONE) throw new Error(`The guest did not carry out "${action}"`);
    },
  };
  return containers;
}

function collect(process: RunningProcess): Pick<Container, 'process' | 'output' | 'ended'> {
  let output = '';
  process.attach({
    output(_stream, data) {
      output += Buffer.from(data).toString();
    },
    end() {},
  });
  return {
    process,
    output: () => output,
    async ended() {
      const exit = await process.exited;
      await process.tornDown;
      return { ...exit, output };
    },
  };
}

/** By the host's own parsers, of what the guest's kernel writes. */
async function guestFacts(guest: Guest): Promise<HostFacts> {
  const facts = await readFacts({
    architecture: guest.architecture,
    read: async (path) => (await guest.run(`cat ${path} 2>/dev/null`)).output,
    exists: async (path) => (await guest.run(`test -e ${path}`)).status === 0,
    list: async () => [],
    deviceNode: async () => undefined,
    ps: async () => undefined,
    dial: () => Promise.reject(new Error('nobody dials for facts')),
    exchange: () => {
      throw new Error('nobody sends datagrams for facts');
    },
    connect: () => Promise.reject(new Error('nobody connects for facts')),
  });
  const [major = '', minor = ''] = (await guest.ok('stat -c "%t %T" /dev/vda')).split(' ');
  return { ...facts, devices: { '/dev/vda': [Number.parseInt(major, 16), Number.parseInt(minor, 16), 'b'] } };
}
