// Two network namespaces with a cable between them: one for engines, one for a neighbour who is not to be trusted.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxTree, makeArchive } from './archives.ts';

export const HOST_4 = '198.51.100.1';
export const HOST_6 = '2001:db8:1::1';
export const NEIGHBOUR_4 = '198.51.100.2';
export const NEIGHBOUR_6 = '2001:db8:1::2';

export type Where = 'host' | 'neighbour';

export interface Lab {
  /** Program and arguments in front of a command that is to run there. */
  enter(where: Where): string[];
  /** Runs a command there: its output, or undefined where it failed. */
  run(where: Where, ...command: string[]): string | undefined;
  /** test/fixtures/net-probe.c: its output without the last newline, or undefined where it failed. */
  probe(where: Where, ...args: string[]): string | undefined;
  start(where: Where, ...args: string[]): ChildProcess;
  /** Program that runs another one as if this kernel had no nf_tables. */
  withoutNetfilter(): string;
  /** Archive of the image "box": busybox and the probe. */
  archive: string;
  close(): void;
}

export function createLab(): Lab {
  const names = { host: `gantry-h-${process.pid}`, neighbour: `gantry-n-${process.pid}` };
  const directory = mkdtempSync(join(tmpdir(), 'gantry-lab-'));
  const compile = (name: string): string => {
    const source = join(import.meta.dirname, `../fixtures/${name}.c`);
    execFileSync('cc', ['-Wall', '-Wextra', '-Werror', '-O1', '-static', '-o', join(directory, name), source]);
    return join(directory, name);
  };
  const program = compile('net-probe');
  const tree = busyboxTree();
  copyFileSync(program, join(tree, 'bin/probe'));
  const archive = makeArchive(tree, 'box:latest');
  rmSync(tree, { recursive: true });

  const ip = (...args: string[]): void => void execFileSync('ip', args);
  for (const name of Object.values(names)) ip('netns', 'add', name);
  ip('-n', names.host, 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan0', 'netns', names.neighbour);
  for (const [name, four, six] of [
    [names.host, HOST_4, HOST_6],
    [names.neighbour, NEIGHBOUR_4, NEIGHBOUR_6],
  ] as const) {
    ip('-n', name, 'link', 'set', 'lo', 'up');
    // Without duplicate address detection its own link-local address works at once.
    ip('netns', 'exec', name, 'sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/lan0/accept_dad');
    ip('-n', name, 'addr', 'add', `${four}/24`, 'dev', 'lan0');
    ip('-n', name, 'addr', 'add', `${six}/64`, 'dev', 'lan0', 'nodad');
    ip('-n', name, 'link', 'set', 'lan0', 'up');
  }
  ip('-n', names.neighbour, 'route', 'add', 'default', 'via', HOST_4);
  ip('-n', names.neighbour, '-6', 'route', 'add', 'default', 'via', HOST_6);

  const enter = (where: Where): string[] => ['nsenter', `--net=/run/netns/${names[where]}`, '--'];
  const run: Lab['run'] = (where, ...command) => {
    const [first = '', ...rest] = [...enter(where), ...command];
    const { status, stdout } = spawnSync(first, rest, { encoding: 'utf8', timeout: 20_000 });
    return status === 0 ? stdout.replace(/\n$/, '') : undefined;
  };
  return {
    enter,
    run,
    probe: (where, ...args) => run(where, program, ...args),
    start(where, ...args) {
      const [first = '', ...rest] = [...enter(where), program, ...args];
      return spawn(first, rest, { stdio: ['pipe', 'pipe', 'ignore'] });
    },
    archive,
    withoutNetfilter: () => compile('no-netfilter'),
    close() {
      for (const name of Object.values(names)) ip('netns', 'delete', name);
      for (const path of [directory, archive]) rmSync(path, { recursive: true });
    },
  };
}
