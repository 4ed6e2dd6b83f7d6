// Notices what the host changes of what a guest has seen: by the host's own notices of directories, compared with what the guest was told.
import { type FSWatcher, watch } from 'node:fs';
import type { ShareNode } from './node.ts';
import type { Tree } from './tree.ts';

export interface Change {
  /** Of a name that is another file now, both: what was there is gone. */
  kind: 'content' | 'created' | 'removed';
  directory: ShareNode;
  name: string;
  /** What the guest knows under this name. */
  node: ShareNode | undefined;
  /** S_IFMT of what is there, or was. */
  type: number;
}

export interface Watch {
  /** The guest has looked into this directory. */
  saw(directory: ShareNode): void;
  close(): void;
}

/** Beyond, what the guest knows of further ones counts for its lifetime, and no longer. */
const DIRECTORIES_MAX = 4000;
/** What comes together is told together: an editor's save is several notices. */
const GATHER_MS = 3;
const S_IFMT = 0o170000n;

export function watchTree(tree: Tree, tell: (change: Change) => void): Watch {
  const watchers = new Map<ShareNode, FSWatcher>();
  /** Names with a notice, and whether one of these said that the name came or went. */
  let noticed = new Map<ShareNode, Map<string, boolean>>();
  const told = new WeakMap<ShareNode, string>();
  let timer: NodeJS.Timeout | undefined;

  const compare = (directory: ShareNode, name: string, renamed: boolean): void => {
    const node = directory.children.get(name);
    const stats = tree.peek(directory, name);
    if (stats === undefined) {
      if (node !== undefined) tell({ kind: 'removed', directory, name, node, type: node.type });
      return;
    }
    const type = Number(stats.mode & S_IFMT);
    if (node === undefined || node.ino !== stats.ino || node.dev !== stats.dev) {
      // What the guest has made itself it knows.
      if (node !== undefined || renamed) tell({ kind: 'created', directory, name, node, type });
      return;
    }
    const { known } = node;
    if (known === undefined || type === 0o040000) return; // It has written it itself.
    if (known.mtimeNs === stats.mtimeNs && known.size === stats.size && known.ctimeNs === stats.ctimeNs) return;
    const state = `${stats.mtimeNs}/${stats.ctimeNs}/${stats.size}`;
    if (told.get(node) === state) return;
    told.set(node, state);
    tell({ kind: 'content', directory, name, node, type });
  };
  const settle = (): void => {
    timer = undefined;
    const now = noticed;
    noticed = new Map();
    for (const [directory, names] of now)
      for (const [name, renamed] of names) {
        try {
          compare(directory, name, renamed);
        } catch {
          // The directory has gone: its own parent tells.
        }
      }
  };

  return {
    saw(directory) {
      if (watchers.has(directory) || watchers.size >= DIRECTORIES_MAX) return;
      try {
        const path = tree.directoryPath(directory);
        const watcher = watch(path, { persistent: false, encoding: 'buffer' }, (event, name) => {
          if (name === null) return;
          const names = noticed.get(directory) ?? new Map<string, boolean>();
          noticed.set(directory, names);
          const text = name.toString('latin1');
          names.set(text, names.get(text) === true || event === 'rename');
          timer ??= setTimeout(settle, GATHER_MS);
          if (directory.lookups === 0 && directory.links.length > 0) {
            watcher.close(); // The guest has forgotten it.
            watchers.delete(directory);
          }
        });
        watcher.on('error', () => watchers.delete(directory));
        watchers.set(directory, watcher);
      } catch {
        // No more notices of this host's kernel: the lifetime counts.
      }
    },
    close() {
      clearTimeout(timer);
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
    },
  };
}
