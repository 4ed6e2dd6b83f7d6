// A start under way, noted in memory beside the container: an engine that dies meanwhile leaves a process that no record names.
import { writeFileSync } from 'node:fs';
import type { RunningProcess } from '../../backend.ts';
import type { ContainerFiles } from '../state/layout.ts';
import type { ContainerRecord, ContainerState } from '../record.ts';
import { readRecord } from '../state/state-store.ts';
import { freshHealth } from './health-state.ts';
import { isoTime } from './times.ts';

/** What a start settles, and the container's own record says only once it runs. */
type Noted = Pick<ContainerRecord, 'endpoints' | 'ports' | 'publishedBy' | 'idMaps'>;

/** Not renamed into place: before it is whole nothing was started. */
export function noteStart(files: ContainerFiles, { endpoints, ports, publishedBy, idMaps }: ContainerRecord): void {
  writeFileSync(files.startRecord, JSON.stringify({ endpoints, ports, publishedBy, idMaps }), { mode: 0o600 });
}

/** Undefined where no start was under way. */
export function notedStart(files: ContainerFiles): Noted | undefined {
  try {
    return readRecord<Noted>(files.startRecord);
  } catch {
    return { endpoints: {}, ports: [] };
  }
}

export function runningState(
  { config, state }: ContainerRecord,
  { pid, startedAt }: Pick<RunningProcess, 'pid' | 'startedAt'>,
): Partial<ContainerState> {
  return {
    status: 'running',
    pid,
    startedAt: isoTime(startedAt),
    error: '',
    exitCode: 0,
    oomKilled: false,
    stoppedByUser: false,
    health: freshHealth(config, state.health),
  };
}
