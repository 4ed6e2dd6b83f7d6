// Tells systemd how the engine is: sd_notify(3), sent by the executor, since Node has no datagram sockets of this kind.
import { spawn } from 'node:child_process';
import { findExecutor } from './executor.ts';

export interface ServiceManager {
  /** Requests are taken; from now on the watchdog is fed, where there is one. */
  ready(): void;
  stopping(): void;
  close(): Promise<void>;
}

const nobody: ServiceManager = { ready() {}, stopping() {}, close: async () => {} };

export async function openServiceManager(env = process.env): Promise<ServiceManager> {
  const socket = env.NOTIFY_SOCKET;
  if (!socket) return nobody;
  // One process for the whole life: it sends what it reads, line by line, and goes when this one does.
  const child = spawn(findExecutor(), ['notify', socket], { stdio: ['pipe', 'ignore', 'inherit'], env: {}, cwd: '/' });
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
  child.stdin.on('error', () => {});
  const say = (line: string): void => void child.stdin.write(`${line}\n`);
  // Only where this very process is watched: sd_watchdog_enabled(3).
  const watched = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(process.pid);
  const period = watched ? Math.floor(Number(env.WATCHDOG_USEC ?? 0) / 1000 / 2) : 0;
  let timer: NodeJS.Timeout | undefined;
  return {
    ready() {
      say('READY=1');
      if (period > 0) timer = setInterval(() => say('WATCHDOG=1'), period);
    },
    stopping() {
      clearInterval(timer);
      say('STOPPING=1');
    },
    close() {
      child.stdin.end();
      return ended;
    },
  };
}
