// COPY, ADD and WORKDIR: what they depend on, and the layer that they make. Nothing runs for it.
import { createHash } from 'node:crypto';
import { GantryError } from '../errors.ts';
import type { Draft } from '../image/builds.ts';
import { readAccounts, resolveUser } from '../engine/user.ts';
import type { BuildContext } from './build-context.ts';
import { workdirOf } from './configuration.ts';
import type { AddInstruction, CopyInstruction } from './dockerfile/ast.ts';
import { archiveIn, download, isAddress } from './files/additions.ts';
import type { LayerDraft } from './files/layer-draft.ts';
import { place, placeArchive, type Placement, readMode } from './files/place.ts';
import { type Selected, select } from './files/select.ts';
import { decompress } from '../image/decompress.ts';
import { contentOf, type DirectoryNode, type FileNode, treeDigest } from './files/tree.ts';
import { parseIgnoreFile } from './ignore.ts';
import { readImageFiles } from './image-files.ts';

export interface Transfer {
  /** Digest of what is copied, and how. */
  content: string;
  write(draft: LayerDraft): Promise<void>;
}

/** @param source of COPY --from. */
export async function readTransfer(
  build: BuildContext,
  instruction: CopyInstruction | AddInstruction,
  draft: Draft,
  layers: string[],
  source: Draft | undefined,
): Promise<Transfer> {
  const { spool, files } = build;
  const where = source === undefined ? 'build context' : `"${(instruction as CopyInstruction).from}"`;
  const root = source === undefined ? files : await readImageFiles(build, source, instruction.sources);
  const selected: Selected[] = [];
  const archives: FileNode[] = [];
  for (const path of instruction.sources) {
    if (instruction.kind === 'add' && isAddress(path)) {
      const file = await download(path, instruction.checksum, spool, build.signal);
      if (instruction.unpack === true && (await archiveIn(file.node))) archives.push(file.node);
      else selected.push({ under: [file.name], node: file.node });
      continue;
    }
    for (const one of selectFrom(root, path, where, instruction))
      if (
        instruction.kind === 'add' &&
        instruction.unpack !== false &&
        one.node.type === 'file' &&
        (await archiveIn(one.node))
      )
        archives.push(one.node);
      else selected.push(one);
  }
  for (const { name, content } of instruction.heredocs)
    selected.push({
      under: [name],
      node: {
        ...{ type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: build.epoch ?? 0, xattrs: new Map() },
        content: await spool.add(bytesOf(content)),
      },
    });
  const several = selected.length + archives.length > 1;
  const isDirectory = /(^|\/)\.?\.?$/.test(instruction.destination);
  if (several && !isDirectory)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `When using ${instruction.kind.toUpperCase()} with more than one source file, the destination must be a directory and end with a /`,
    );
  const placement: Placement = {
    destination: workdirOf(draft.image.config, instruction.destination),
    isDirectory: isDirectory || several,
    owner: ownerOf(instruction.chown, layers),
    chmod: instruction.chmod === undefined ? undefined : readMode(instruction.chmod),
  };
  const parts = [
    ...selected.map(({ under, node }) => [under, treeDigest(node)]),
    ...archives.map((node) => ['archive', node.content.digest]),
    ...[placement.destination, placement.isDirectory, placement.owner ?? null, instruction.chmod ?? null],
  ];
  return {
    content: createHash('sha256').update(JSON.stringify(parts)).digest('hex'),
    async write(layer) {
      place(layer, selected, placement);
      for (const node of archives)
        await placeArchive(
          layer,
          decompress(contentOf(node.content)),
          `Cannot unpack what ${instruction.text} names`,
          spool,
          placement,
        );
    },
  };
}

function selectFrom(
  root: DirectoryNode,
  path: string,
  where: string,
  instruction: CopyInstruction | AddInstruction,
): Selected[] {
  const parents = instruction.kind === 'copy' && instruction.parents;
  const { exclude } = instruction;
  const filter =
    exclude.length === 0
      ? undefined
      : parseIgnoreFile(exclude.join('\n'), `--exclude of ${instruction.kind.toUpperCase()}`);
  return select(root, path, where, { parents, excludes: filter?.ignores });
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  if (text !== '') yield Buffer.from(text);
}

/** Whether nothing of the image is read for --chown. */
export const ownerIsNumber = (chown: string | undefined): boolean => chown === undefined || /^\d+(:\d+)?$/.test(chown);

/** Of --chown, with names of the image; undefined: as the source has it, which is root's for the context. */
function ownerOf(chown: string | undefined, layers: string[]): Placement['owner'] {
  if (chown === undefined) return undefined;
  // A number alone is the group's, too.
  const whole = /^\d+$/.test(chown) ? `${chown}:${chown}` : chown;
  const { uid, gid } = resolveUser(whole, [], readAccounts(layers));
  return { uid, gid };
}
