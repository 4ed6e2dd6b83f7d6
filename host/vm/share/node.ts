// What the guest knows of a share: files and directories by number, each with the names under which it was found.
import type { BigIntStats } from 'node:fs';

/** A name is held as its bytes, one a character ("latin1"): names of Linux need not be UTF-8. */
export interface Link {
  parent: ShareNode;
  name: string;
}

/** Times and size as the guest was last told. */
export interface Known {
  mtimeNs: bigint;
  ctimeNs: bigint;
  size: bigint;
}

export interface ShareNode {
  readonly id: number;
  readonly dev: bigint;
  readonly ino: bigint;
  /** S_IFMT of its mode. */
  readonly type: number;
  /** The newest last. Without any it was removed, or is the root. */
  links: Link[];
  /** What was found in it. */
  children: Map<string, ShareNode>;
  /** How often the guest was told of it. */
  lookups: number;
  /** Open files of it. */
  handles: Set<number>;
  /** Undefined: the guest has changed it itself since. */
  known: Known | undefined;
}

export interface NodeTable {
  readonly root: ShareNode;
  get(id: number): ShareNode | undefined;
  /** The node of what was found there under this name, a new one where it was not known. */
  found(parent: ShareNode, name: string, stats: BigIntStats): ShareNode;
  /** The name is there no more. */
  lost(parent: ShareNode, name: string): ShareNode | undefined;
  moved(from: Link, to: Link): void;
  /** The guest forgets so many of the times that it was told of it. */
  forget(node: ShareNode, count: number): void;
  readonly size: number;
}

const S_IFMT = 0o170000n;
const ROOT_ID = 1;

/**
 * Numbers begin elsewhere with each server: a guest that has outlived one must not take its numbers for those of the next.
 * Exact as doubles: 20 bits of seconds above 32 for what is counted.
 */
export function firstNumber(): number {
  return (Math.floor(Date.now() / 1000) & 0xfffff || 1) * 2 ** 32;
}

export function createNodeTable(rootStats: BigIntStats): NodeTable {
  const byId = new Map<number, ShareNode>();
  const byInode = new Map<bigint, Map<bigint, ShareNode>>();
  let last = firstNumber();

  const add = (stats: BigIntStats, id = ++last): ShareNode => {
    const node: ShareNode = {
      id,
      dev: stats.dev,
      ino: stats.ino,
      type: Number(stats.mode & S_IFMT),
      links: [],
      children: new Map(),
      lookups: 0,
      handles: new Set(),
      known: undefined,
    };
    byId.set(node.id, node);
    const device = byInode.get(node.dev) ?? new Map<bigint, ShareNode>();
    byInode.set(node.dev, device);
    device.set(node.ino, node);
    return node;
  };
  const unlink = (node: ShareNode, { parent, name }: Link): void => {
    node.links = node.links.filter((link) => link.parent !== parent || link.name !== name);
    if (parent.children.get(name) === node) parent.children.delete(name);
  };
  const link = (node: ShareNode, to: Link): void => {
    const known = to.parent.children.get(to.name);
    const [newest] = node.links.slice(-1);
    if (known === node && newest?.parent === to.parent && newest.name === to.name) return;
    if (known !== undefined) unlink(known, to);
    to.parent.children.set(to.name, node);
    node.links.push(to);
  };

  const root = add(rootStats, ROOT_ID);
  root.lookups = 1;

  return {
    root,
    get: (id) => byId.get(id),
    found(parent, name, stats) {
      const known = byInode.get(stats.dev)?.get(stats.ino);
      // A number of a file that is gone may be another's now, of another kind.
      const node = known !== undefined && BigInt(known.type) === (stats.mode & S_IFMT) ? known : add(stats);
      link(node, { parent, name });
      return node;
    },
    lost(parent, name) {
      const node = parent.children.get(name);
      if (node !== undefined) unlink(node, { parent, name });
      return node;
    },
    moved(from, to) {
      const node = from.parent.children.get(from.name);
      const replaced = to.parent.children.get(to.name);
      if (node === replaced) return; // Two names of one file: rename(2) leaves both.
      if (replaced !== undefined) unlink(replaced, to);
      if (node === undefined) return;
      unlink(node, from);
      link(node, to);
    },
    forget(node, count) {
      node.lookups = Math.max(0, node.lookups - count);
      if (node.lookups > 0 || node.id === ROOT_ID) return;
      byId.delete(node.id);
      const device = byInode.get(node.dev);
      if (device?.get(node.ino) === node) device.delete(node.ino);
      for (const at of node.links) if (at.parent.children.get(at.name) === node) at.parent.children.delete(at.name);
    },
    get size() {
      return byId.size;
    },
  };
}
