// Files of a stage or an image for COPY --from and mounts: read by the executor in the root itself, indexed as a context's.
import type { Draft } from '../image/builds.ts';
import { GantryError } from '../errors.ts';
import { type BuildContext, withContainer } from './build-context.ts';
import { type DirectoryNode, type Node, newDirectory, partsOf, readTree } from './files/tree.ts';

/**
 * The parts of a root that some paths name, wildcards and all; where a path is a link, what it leads to.
 * Of a path that is not there nothing is.
 */
export async function readImageFiles(build: BuildContext, draft: Draft, paths: string[]): Promise<DirectoryNode> {
  const wanted = [...new Set(paths.map(beforeWildcard))];
  const root = newDirectory();
  await withContainer(build, { draft, command: ['/'] }, async (container) => {
    const { copies } = build.engine;
    for (const path of wanted) {
      let place = path;
      let stat = await copies.stat(container, place).catch(ignoreMissing);
      if (stat?.linkTarget) {
        place = stat.linkTarget;
        stat = await copies.stat(container, place).catch(ignoreMissing);
      }
      if (stat === undefined) continue;
      const isDirectory = (stat.mode & S_IFMT) === S_IFDIR;
      const { tar } = await copies.read(container, isDirectory ? `${place.replace(/\/$/, '')}/.` : place);
      const tree = await readTree(tar, build.spool, 'Cannot read the files of an image');
      put(root, partsOf(path), isDirectory ? tree : [...tree.entries.values()][0]);
    }
  });
  return root;
}

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;

function beforeWildcard(path: string): string {
  const parts = partsOf(path);
  const at = parts.findIndex((part) => /[*?[\\]/.test(part));
  return `/${(at < 0 ? parts : parts.slice(0, at)).join('/')}`;
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof GantryError && error.code === 'PATH_NOT_FOUND') return undefined;
  throw error;
}

function put(root: DirectoryNode, path: string[], node: Node | undefined): void {
  if (node === undefined) return;
  const name = path.at(-1);
  if (name === undefined) {
    Object.assign(root, node);
    return;
  }
  let at = root;
  for (const part of path.slice(0, -1)) {
    const there = at.entries.get(part);
    const next = there?.type === 'directory' ? there : newDirectory();
    at.entries.set(part, next);
    at = next;
  }
  at.entries.set(name, node);
}
