// Shares as a guest has them, mounted by this kernel: the guest's own program carries FUSE messages between it and the thread that serves them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Share, createShares, shareTarget } from '../../host/vm/share/shares.ts';
import { compileStatic } from '../../scripts/compile-static.ts';

const root = join(import.meta.dirname, '../..');
const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** Empty where they can be mounted here; the reason is printed. */
export function whyNoShares(): string {
  const reason =
    process.getuid?.() !== 0 ? 'root is needed' : existsSync('/dev/fuse') ? '' : 'this kernel has no /dev/fuse';
  if (reason !== '') console.log(`Shares are not tested: ${reason}`);
  return reason;
}

export interface ShareGuest {
  /** Of the process whose mount namespace has the shares. */
  pid: number;
  /** Shares it; resolves to where it is seen. */
  share(share: Share): Promise<string>;
  unshare(share: Share): void;
  close(): Promise<void>;
}

export async function startShareGuest(owner?: { uid: number; gid: number }): Promise<ShareGuest> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-shares-'));
  const sources = [
    join(import.meta.dirname, 'share-guest.c'),
    ...['share', 'replay'].map((name) => join(root, `vm-images/init/${name}.c`)),
  ];
  compileStatic('share-guest', sources, directory);
  const port = join(directory, 'port');
  // A group of its own, so that it can end what it has forked.
  const child = spawn(join(directory, `share-guest-${architecture}`), [port], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  await once(child.stdout, 'data');
  const shares = createShares({ port, owner });
  return {
    pid: child.pid!,
    async share(share) {
      await shares.acquire(share);
      return `/proc/${child.pid}/root${shareTarget(share)}`;
    },
    unshare: (share) => shares.release(share),
    async close() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
      await shares.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
