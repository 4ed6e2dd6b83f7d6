// Both engines through their sockets, by the same requests: whole lives, the docker client, lists, logs, memory at rest.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { interleave, median } from './measure.ts';
import type { Report } from './report.ts';

const IN_FLIGHT = 8;
const RUNNING = 300;
const WRITERS = 20;
const LINES_PER_SECOND = 1000;
const HANGS_MS = 20_000;
/** Until what is over has been collected. */
const REST_MS = 5000;

export interface Engines {
  /** Paths of the sockets; both have the image "box". */
  gantry: string;
  docker: string | undefined;
  /** Process of gantry's engine. */
  pid: number;
}

interface Answer {
  status: number;
  body: string;
}

/** A client that keeps its connections, as docker's own do. An answer that does not come in time is a failure. */
function clientOf(
  socketPath: string,
): (method: string, path: string, body?: object, timeout?: number) => Promise<Answer> {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 * IN_FLIGHT });
  return (method, path, body, timeout = HANGS_MS) =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const options = { socketPath, path: `/v1.41${path}`, method, agent, headers, timeout };
      const sent = request(options, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          if (status < 400) resolve({ status, body: text });
          else reject(new Error(`${method} ${path}: ${status} ${text}`));
        });
      });
      sent.on('error', reject);
      sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer in ${timeout / 1000} s`)));
      sent.end(body === undefined ? '' : JSON.stringify(body));
    });
}

type Client = ReturnType<typeof clientOf>;

async function started(client: Client, command: string[], network: string): Promise<string> {
  const body = { Image: 'box', Cmd: command, HostConfig: { NetworkMode: network } };
  const { Id } = JSON.parse((await client('POST', '/containers/create', body)).body) as { Id: string };
  await client('POST', `/containers/${Id}/start`);
  return Id;
}

async function inFlight(count: number, work: () => Promise<void>): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (left-- > 0) await work();
    }),
  );
}

/** Lives a second: created, started on the bridge, stopped at once, removed. */
async function livesPerSecond(client: Client, count: number): Promise<number> {
  const began = performance.now();
  await inFlight(count, async () => {
    const id = await started(client, ['sleep', '1000'], 'bridge');
    await client('POST', `/containers/${id}/stop?t=0`);
    await client('DELETE', `/containers/${id}`);
  });
  return count / ((performance.now() - began) / 1000);
}

/** Milliseconds of `docker run --rm`; NaN where it hangs, as it does when dockerd 20.10 loses an exit. */
async function dockerRun(socket: string): Promise<number> {
  const before = performance.now();
  const { status, error, stderr } = spawnSync('docker', ['run', '--rm', 'box', 'true'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, DOCKER_HOST: `unix://${socket}` },
    timeout: HANGS_MS,
    killSignal: 'SIGKILL',
  });
  if (error !== undefined) return Number.NaN;
  if (status !== 0) throw new Error(`docker run through ${socket}: status ${status}: ${stderr}`);
  return performance.now() - before;
}

export async function benchApi(report: Report, engines: Engines): Promise<void> {
  // While a peer hangs, an engine that nobody speaks to would end.
  const held = request({ socketPath: engines.gantry, path: '/events' }).on('error', () => {});
  held.end();
  const gantry = clientOf(engines.gantry);
  const docker = engines.docker === undefined ? undefined : clientOf(engines.docker);
  const peer = (value: number | undefined) => (value === undefined ? undefined : { name: 'dockerd', value });

  if (engines.docker !== undefined) {
    const { gantry: ours, docker: theirs } = engines;
    const runs = await interleave([() => dockerRun(ours), () => dockerRun(theirs)], report.quick ? 5 : 15, 0);
    const [own, other] = runs.map(median);
    report.record("docker run --rm, through each one's socket", 'ms', own!, peer(other));
  }

  const rates: number[][] = [[], []];
  for (let block = 0; block < (report.quick ? 1 : 3); block++) {
    rates[0]!.push(await livesPerSecond(gantry, report.quick ? 16 : 100));
    // A rate needs fewer of the slower one. Where it hangs, this block is without it.
    const count = report.quick ? 16 : 40;
    if (docker !== undefined)
      rates[1]!.push(
        await livesPerSecond(docker, count).catch((error: Error) => {
          report.say(`dockerd: ${error.message}`);
          return Number.NaN;
        }),
      );
  }
  const theirRate = docker === undefined ? undefined : median(rates[1]!);
  report.record('create, start, stop, rm by the API; 8 in flight', '1/s', median(rates[0]!), peer(theirRate));

  await benchRunning(report, gantry);
  await benchLogs(report, gantry, engines.pid);
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  report.record('memory of the engine at rest (RSS)', 'MiB', statusOf(engines.pid, 'VmRSS') / 1024);
  held.destroy();
}

async function benchRunning(report: Report, client: Client): Promise<void> {
  const ids: string[] = [];
  await inFlight(report.quick ? 20 : RUNNING, async () => {
    ids.push(await started(client, ['sleep', '1000'], 'none'));
  });
  const times: number[] = [];
  for (let round = 0; round < 20; round++) {
    const before = performance.now();
    await client('GET', '/containers/json');
    times.push(performance.now() - before);
  }
  report.record(`list of ${ids.length} running containers by the API`, 'ms', median(times));
  await inFlight(ids.length, async () => {
    await client('DELETE', `/containers/${ids.pop()}?force=1`);
  });
}

/** Writers at a steady rate, followed all the while: what is lost, and what the engine takes for it. */
async function benchLogs(report: Report, client: Client, pid: number): Promise<void> {
  const seconds = report.quick ? 3 : 30;
  const burst = LINES_PER_SECOND / 10;
  const lines = `yes "a line of a log that says a little" | head -n ${burst}`;
  const script = `n=0; while [ $n -lt ${seconds * 10} ]; do n=$((n+1)); ${lines}; sleep 0.1; done`;
  const before = cpuMs(pid);
  const began = performance.now();
  const ids = await Promise.all(Array.from({ length: WRITERS }, () => started(client, ['sh', '-c', script], 'none')));
  await Promise.all(ids.map((id) => client('POST', `/containers/${id}/wait`, undefined, seconds * 3000 + HANGS_MS)));
  const share = ((cpuMs(pid) - before) / (performance.now() - began)) * 100;
  let found = 0;
  for (const id of ids) found += (await client('GET', `/containers/${id}/logs?stdout=1`)).body.split('\n').length - 1;
  report.record('lines of 20 logs at 1000/s, lost', 'lines', WRITERS * seconds * LINES_PER_SECOND - found);
  report.record('CPU of the engine meanwhile', '%', share);
  await Promise.all(ids.map((id) => client('DELETE', `/containers/${id}`)));
}

/** A field of proc_pid_status(5), KiB. */
function statusOf(pid: number, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

const TICK_MS = 10;

/** User and system time of the process itself: proc_pid_stat(5). */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
