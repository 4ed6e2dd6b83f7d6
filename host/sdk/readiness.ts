// When a container that was started is ready: it listens, said so, is healthy, answers.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { GantryError } from '../errors.ts';
import type { Container } from './container.ts';

/** Resolves when a container is ready for something; rejects when the signal is aborted. */
export type Readiness = (container: Container, signal: AbortSignal) => Promise<void>;

/** Between two looks at what tells nothing by itself. */
const LOOK_MS = 50;

/** A published port of the container takes connections. */
export function untilPort(containerPort: number): Readiness {
  return async (container, signal) => {
    const port = await container.port(containerPort, { signal });
    while (!(await accepts(port))) await sleep(LOOK_MS, undefined, { signal });
  };
}

/** A line of its output has this text, or matches. */
export function untilLog(expected: string | RegExp): Readiness {
  return async (container, signal) => {
    for await (const { text } of container.logs({ follow: true, signal }).lines())
      if (typeof expected === 'string' ? text.includes(expected) : text.search(expected) >= 0) return;
    // It has ended, which whoever waits is told by its exit.
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
}

/** Its health check says so. @throws {GantryError} INVALID_STATE where it has none, or is unhealthy. */
export function untilHealthy(): Readiness {
  return async (container, signal) => {
    for (;;) {
      const { health, name } = await container.inspect({ signal });
      if (health === 'healthy') return;
      if (health !== 'starting')
        throw new GantryError(
          'INVALID_STATE',
          `Cannot wait for the health of "${name}": ${health === 'none' ? 'it has no health check' : 'it is unhealthy'}`,
        );
      await sleep(LOOK_MS, undefined, { signal });
    }
  };
}

/** A published port answers a GET; with the status, where one is given, else with any below 400. */
export function untilHttp(containerPort: number, path = '/', { status }: { status?: number } = {}): Readiness {
  return async (container, signal) => {
    const port = await container.port(containerPort, { signal });
    for (;;) {
      const answered = await statusOf(`http://127.0.0.1:${port}${path}`, signal);
      if (status === undefined ? answered > 0 && answered < 400 : answered === status) return;
      await sleep(LOOK_MS, undefined, { signal });
    }
  };
}

/** Waits for all; a container that ends before, or takes too long, is told with its last lines. @internal */
export async function whenReady(
  container: Container,
  all: Readiness[],
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const over = new AbortController();
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    over.abort();
  }, timeoutMs);
  const ended = container.wait({ signal: either }).then(async (status) => {
    throw await notReady('INVALID_STATE', container, `it has ended with status ${status}`);
  });
  try {
    await Promise.race([Promise.all(all.map((ready) => ready(container, either))), ended]);
  } catch (error) {
    signal?.throwIfAborted();
    throw late ? await notReady('TIMED_OUT', container, `it is not after ${timeoutMs} ms`) : error;
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

async function notReady(code: 'INVALID_STATE' | 'TIMED_OUT', container: Container, why: string): Promise<GantryError> {
  const said = await container
    .logs({ tail: 5 })
    .text()
    .catch(() => '');
  return new GantryError(code, `Cannot wait until the container ${container.id.slice(0, 12)} is ready: ${why}`, {
    hint: said.trim() === '' ? 'It has written nothing' : `Its last lines: ${said.trim()}`,
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1');
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

/** 0: no answer. */
async function statusOf(url: string, signal: AbortSignal): Promise<number> {
  try {
    const answer = await fetch(url, { signal, headers: { connection: 'close' } });
    await answer.body?.cancel();
    return answer.status;
  } catch {
    signal.throwIfAborted();
    return 0;
  }
}
