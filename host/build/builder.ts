// The way in: a request → the context's files, the Dockerfile, the solver. Whatever happens nothing of a build is left behind.
import { posix } from 'node:path';
import { GantryError } from '../errors.ts';
import { decompress } from '../image/decompress.ts';
import { familiarReference, parseReference, type Reference } from '../image/reference.ts';
import type { Engine } from '../engine/engine.ts';
import type { BuildRequest } from './build-request.ts';
import { parseDockerfile } from './dockerfile/parse.ts';
import type { Dockerfile } from './dockerfile/ast.ts';
import { createSpool, type DirectoryNode, find, newDirectory, readTree, textOf } from './files/tree.ts';
import { parseIgnoreFile } from './ignore.ts';
import type { WarningEvent } from './progress.ts';
import { createCacheLimit } from './cache-limit.ts';
import { openScratchSpace } from './scratch-space.ts';
import { createSharedWork } from './shared-work.ts';
import { canceled, solve } from './solver.ts';
import type { Tell } from './told.ts';

export interface Built {
  /** "sha256:…". */
  id: string;
  /** Names that it was given, as people write them: "app:latest". */
  tags: string[];
  /** The same, written out: "docker.io/library/app:latest". */
  names: string[];
}

export interface Builder {
  /** @param tell is called in the order of events. @param parsed is given the Dockerfile once it is read. @throws {GantryError}. */
  build(request: BuildRequest, tell: Tell, signal: AbortSignal, parsed?: (file: Dockerfile) => void): Promise<Built>;
}

/** Of a Dockerfile at most. */
const DOCKERFILE_MAX = 16 << 20;

export function createBuilder(engine: Engine): Builder {
  const { removeTree } = engine.images.builds;
  const shared = createSharedWork();
  const limit = createCacheLimit(engine);

  const buildOne: Builder['build'] = async (request, tell, signal, parsed = () => {}) => {
    const names = request.tags.map(parseTag);
    const scratch = openScratchSpace(engine.paths, removeTree);
    const spool = await createSpool(scratch.path('spool'));
    try {
      const files = await readContext(request, spool);
      const { name, text } = request.dockerfileText ?? (await readDockerfile(files, request.dockerfile));
      const dockerfile = parseDockerfile(text, name);
      parsed(dockerfile);
      if (request.dockerfileText === undefined) await leaveOut(files, name);
      for (const { rule, message, range } of dockerfile.warnings)
        tell({
          told: 'warning',
          warning: {
            type: 'warning',
            rule,
            message,
            range: {
              file: name,
              ...range,
              first: range.start,
              lines: dockerfile.lines.slice(range.start - 1, range.end),
            },
          },
        });
      if (request.cacheFrom.length > 0) tell({ told: 'warning', warning: unusable(request.cacheFrom) });
      signal.throwIfAborted();
      const { id } = await solve(
        { engine, request, dockerfile, files, spool, scratch, shared, tell, epoch: epochOf(request) },
        signal,
      );
      for (const tag of names) engine.events.emit('image', 'tag', id, { name: familiarReference(tag) });
      return { id, tags: names.map(familiarReference), names: names.map(wholeName) };
    } catch (error) {
      throw signal.aborted ? canceled() : error;
    } finally {
      await spool.close();
      await scratch.close();
    }
  };

  return {
    async build(...given) {
      const leave = await limit.enter();
      try {
        return await buildOne(...given);
      } finally {
        leave();
      }
    },
  };
}

/** @throws {GantryError} INVALID_ARGUMENT before anything is built. */
function parseTag(text: string): Reference {
  const reference = parseReference(text);
  if (reference.digest === undefined) return reference;
  throw new GantryError(
    'INVALID_ARGUMENT',
    `Cannot name the image "${text}": refusing to create a tag with a digest reference`,
  );
}

function wholeName({ registry, repository, tag = 'latest' }: Reference): string {
  return `${registry}/${repository}:${tag}`;
}

async function readContext(
  { context }: BuildRequest,
  spool: Awaited<ReturnType<typeof createSpool>>,
): Promise<DirectoryNode> {
  if (context === undefined) return newDirectory();
  const files = await readTree(decompress(context), spool, 'Cannot read the build context', { owners: false });
  return Object.assign(files, { mode: 0o755 });
}

async function readDockerfile(files: DirectoryNode, path: string): Promise<{ name: string; text: string }> {
  const name = path || 'Dockerfile';
  const node = find(files, name)?.node ?? (path === '' ? find(files, 'dockerfile')?.node : undefined);
  if (node?.type !== 'file')
    throw new GantryError('INVALID_ARGUMENT', `Cannot locate specified Dockerfile: ${posix.normalize(name)}`, {
      hint: 'Name it with -f, relative to the context',
    });
  if (node.content.size > DOCKERFILE_MAX)
    throw new GantryError(
      'TOO_LARGE',
      `Cannot read the Dockerfile "${name}": it is larger than ${DOCKERFILE_MAX >> 20} MiB`,
    );
  return { name, text: await textOf(node.content) };
}

/** An image's history tells what was written, but not what files a step has read: who trusts it builds from stale files. */
function unusable(images: string[]): WarningEvent {
  const named = images.length === 1 ? `"${images[0]}" was` : `${images.map((name) => `"${name}"`).join(', ')} were`;
  const message = `${named} not used as a cache: images do not tell what their steps have read; this engine's own cache is used`;
  return { type: 'warning', rule: '', message };
}

/** Clients send the Dockerfile and .dockerignore in any case; what the latter names is not there for COPY. */
async function leaveOut(files: DirectoryNode, dockerfile: string): Promise<void> {
  const node = files.entries.get(IGNORE_FILE);
  if (node?.type !== 'file') return;
  const { ignores } = parseIgnoreFile(await textOf(node.content), IGNORE_FILE);
  for (const name of [IGNORE_FILE, posix.normalize(dockerfile)])
    if (ignores(name)) {
      const directory = find(files, posix.dirname(name), false)?.node;
      if (directory?.type === 'directory') directory.entries.delete(posix.basename(name));
    }
}

const IGNORE_FILE = '.dockerignore';

/** SOURCE_DATE_EPOCH: no time in the image is later. @throws {GantryError} INVALID_ARGUMENT. */
function epochOf({ buildArgs }: BuildRequest): number | undefined {
  const text = buildArgs.SOURCE_DATE_EPOCH;
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,12}$/.test(text)) return Number(text);
  throw new GantryError('INVALID_ARGUMENT', `Cannot use SOURCE_DATE_EPOCH="${text}": it must be seconds since 1970`);
}
