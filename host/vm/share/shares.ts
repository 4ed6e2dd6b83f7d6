// Directories of this host in a guest: mounted when a container needs them, gone when none does.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { GantryError } from '../../errors.ts';
import { errnoCode } from '../channel/errno.ts';
import type { Owner, TreeOptions } from './tree.ts';
import type { ShareAnswer, ShareRequest, ShareThreadData } from './worker.ts';

export interface Share {
  source: string;
  readOnly: boolean;
}

export interface Shares {
  /** Mounts it in the guest where `shareTarget` says, unless it is. @throws {GantryError} BACKEND_UNAVAILABLE, PATH_NOT_FOUND. */
  acquire(share: Share): Promise<void>;
  /** To be called once for each that was acquired. */
  release(share: Share): void;
  close(): Promise<void>;
}

export interface SharesOptions {
  /** Where QEMU listens for whoever serves the guest's port. */
  port: string;
  /** Absent: owners are those of this host. */
  owner?: Owner | undefined;
}

interface Mounted {
  number: number;
  users: number;
  mounted: Promise<void>;
}

/** Where a share is in the guest: the same for the same source, and no path that a guest has for something else. */
export function shareTarget({ source, readOnly }: Share): string {
  const name = createHash('sha256').update(source).digest('hex').slice(0, 16);
  return `/run/gantry-shares/${name}${readOnly ? '-ro' : ''}`;
}

/** One for each guest. The thread begins with the first share. */
export function createShares({ port, owner }: SharesOptions): Shares {
  const known = new Map<string, Mounted>();
  const waiting = new Map<number, (answer: ShareAnswer) => void>();
  let worker: Worker | undefined;
  let lastShare = 0;
  let lastRequest = 0;

  const thread = (): Worker => {
    if (worker !== undefined) return worker;
    const workerData: ShareThreadData = { port };
    const started = new Worker(program(), { workerData, execArgv: [] });
    started.unref(); // The machine keeps the process alive.
    started.on('message', (answer: ShareAnswer) => {
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    });
    started.on('error', () => {}); // Told by its exit.
    started.once('exit', () => {
      worker = undefined;
      known.clear();
      for (const [id, done] of waiting) done({ id, failure: 'the connection to the guest has ended' });
      waiting.clear();
    });
    worker = started;
    return started;
  };
  type Unnumbered<Request> = Request extends unknown ? Omit<Request, 'id'> : never;
  const ask = (request: Unnumbered<ShareRequest>): Promise<ShareAnswer> => {
    const id = ++lastRequest;
    return new Promise((resolve) => {
      waiting.set(id, resolve);
      thread().postMessage({ ...request, id });
    });
  };
  const mount = async (number: number, share: Share): Promise<void> => {
    const options: TreeOptions = { ...share, owner };
    const { errno, failure } = await ask({ kind: 'mount', share: number, options, target: shareTarget(share) });
    if (errno === 0) return;
    throw new GantryError(
      'BACKEND_UNAVAILABLE',
      `Cannot share "${share.source}" with the virtual machine: ${failure ?? errnoCode(errno ?? 5)}`,
      { hint: 'Look at the permissions of the path, and at the log of the machine (vm/console.log in the data root)' },
    );
  };
  const key = (share: Share): string => shareTarget(share);

  return {
    async acquire(share) {
      let entry = known.get(key(share));
      if (entry === undefined) {
        const number = ++lastShare;
        entry = { number, users: 0, mounted: mount(number, share) };
        known.set(key(share), entry);
        entry.mounted.catch(() => known.delete(key(share)));
      }
      entry.users++;
      await entry.mounted;
    },
    release(share) {
      const entry = known.get(key(share));
      if (entry === undefined || --entry.users > 0) return;
      known.delete(key(share));
      if (worker !== undefined) void ask({ kind: 'unmount', share: entry.number });
    },
    async close() {
      await worker?.terminate();
    },
  };
}

/** Beside the bundle or, from source, in its directory. */
function program(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const places = ['share-worker.js', '../share-worker.js', '../../../dist/share-worker.js'];
  return places.map((place) => join(here, place)).find(existsSync) ?? join(here, 'share-worker.js');
}
