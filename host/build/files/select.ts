// Which files the sources of COPY and ADD mean: wildcards as Go's path.Match, contents of directories, links followed at the top.
import { posix } from 'node:path';
import { GantryError } from '../../errors.ts';
import { type DirectoryNode, find, type Node, partsOf } from './tree.ts';

export interface Selected {
  /** Where it goes, below the destination; of a directory whose contents are meant nothing. */
  under: string[];
  node: Node;
}

export interface Selection {
  /** Keeps the directories above: of "a/./b/c" those behind the dot. */
  parents: boolean;
  /** True for what is left out: a path relative to the source, of a directory or not. */
  excludes?: ((path: string) => boolean) | undefined;
}

/**
 * @param where for messages: "the build context", or "stage \"x\"".
 * @throws {GantryError} PATH_NOT_FOUND in docker's words.
 */
export function select(root: DirectoryNode, source: string, where: string, selection: Selection): Selected[] {
  const pattern = partsOf(source.replace(/(^|\/)\.\//g, '$1'));
  const paths = pattern.some(isPattern) ? matches(root, pattern, []) : [pattern];
  if (paths.length === 0)
    throw new GantryError(
      'PATH_NOT_FOUND',
      `COPY failed: no source files were specified: nothing in ${where} matches "${source}"`,
    );
  return paths.map((path) => {
    const found = find(root, path.join('/'));
    if (found === undefined)
      throw new GantryError(
        'PATH_NOT_FOUND',
        `COPY failed: file not found in ${where} or excluded by .dockerignore: stat ${source}: file does not exist`,
        {
          hint: 'Paths of sources begin at the top of the build context',
        },
      );
    const { node } = found;
    const kept = selection.excludes === undefined ? node : without(node, '', selection.excludes);
    if (selection.parents) return { under: belowPivot(source, path), node: kept };
    return { under: node.type === 'directory' ? [] : path.slice(-1), node: kept };
  });
}

const isPattern = (part: string): boolean => /[*?[\\]/.test(part);

/** What stands before "/./" is not kept. */
function belowPivot(source: string, path: string[]): string[] {
  const pivot = source.indexOf('/./');
  return pivot < 0 ? path : path.slice(partsOf(source.slice(0, pivot)).length);
}

function matches(root: DirectoryNode, [part, ...rest]: string[], at: string[]): string[][] {
  if (part === undefined) return [at];
  const here = find(root, at.join('/'))?.node;
  if (here?.type !== 'directory') return [];
  if (!isPattern(part)) return here.entries.has(part) ? matches(root, rest, [...at, part]) : [];
  const names = [...here.entries.keys()].sort();
  if (part === '**')
    return [
      ...matches(root, rest, at),
      ...names
        .filter((name) => here.entries.get(name)?.type === 'directory')
        .flatMap((name) => matches(root, [part, ...rest], [...at, name])),
    ];
  const expression = expressionOf(part);
  return names.filter((name) => expression.test(name)).flatMap((name) => matches(root, rest, [...at, name]));
}

/** path.Match of Go for one name. @throws {GantryError} INVALID_ARGUMENT. */
function expressionOf(pattern: string): RegExp {
  const parts = [...pattern.matchAll(/\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]|([*?])|([^\\])/gs)];
  const text = parts.map(([all, escaped, negated, set, wild]) => {
    if (set !== undefined) return `[${negated}${set.replace(/[[^]/g, '\\$&')}]`;
    if (wild !== undefined) return wild === '*' ? '[^/]*' : '[^/]';
    return (escaped ?? all).replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  });
  try {
    if (parts.map(([all]) => all).join('') === pattern) return new RegExp(`^${text.join('')}$`, 'su');
  } catch {
    // Told below.
  }
  throw new GantryError('INVALID_ARGUMENT', `Cannot read the pattern "${pattern}": syntax error in pattern`);
}

function without(node: Node, path: string, excludes: (path: string) => boolean): Node {
  if (node.type !== 'directory') return node;
  const entries = new Map<string, Node>();
  for (const [name, child] of node.entries) {
    const below = posix.join(path, name);
    const kept = without(child, below, excludes);
    const isLeftOut = excludes(below);
    // A directory stays for what is kept in it.
    if (!isLeftOut || (kept.type === 'directory' && kept.entries.size > 0)) entries.set(name, kept);
  }
  return { ...node, entries };
}
