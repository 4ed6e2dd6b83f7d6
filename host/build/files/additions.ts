// What only ADD does: downloads, and telling archives from other files.
import { posix } from 'node:path';
import { GantryError } from '../../errors.ts';
import { decompress } from '../../image/decompress.ts';
import { createTransport } from '../../image/registry/transport.ts';
import { contentOf, type FileNode, type Spool } from './tree.ts';

export function isAddress(source: string): boolean {
  if (/^(git@|git:\/\/|ssh:\/\/)|^https?:\/\/.*\.git(#.*)?$/.test(source))
    throw new GantryError('UNSUPPORTED', `Cannot add "${source}": repositories are not fetched`, {
      hint: 'Clone it into the context, or in a RUN',
    });
  return /^https?:\/\//i.test(source);
}

/** A file of the web: mode 0600, with the server's time. @param checksum "sha256:…". @throws {GantryError} DIGEST_MISMATCH, REGISTRY_FAILED. */
export async function download(
  address: string,
  checksum: string | undefined,
  spool: Spool,
  signal: AbortSignal,
): Promise<{ name: string; node: FileNode }> {
  const failed = (reason: string, cause?: unknown): GantryError =>
    new GantryError('REGISTRY_FAILED', `Cannot download "${address}": ${reason}`, {
      hint: 'Check the address and the network',
      cause,
    });
  if (!URL.canParse(address)) throw new GantryError('INVALID_ARGUMENT', `Cannot read the address "${address}"`);
  const url = new URL(address);
  const name = posix.basename(decodeURIComponent(url.pathname));
  if (name === '')
    throw new GantryError('INVALID_ARGUMENT', `Cannot determine filename for url: ${address}`, {
      hint: 'Let the address end with a file name',
    });
  const transport = createTransport(signal);
  try {
    const answer = await transport.send(url, { headers: {} });
    if (answer.status !== 200) throw failed(`the server answered ${answer.status}`);
    const content = await spool.add(answer.body);
    if (checksum !== undefined && checksum !== `sha256:${content.digest}`)
      throw new GantryError(
        'DIGEST_MISMATCH',
        `Cannot use "${address}": its digest is sha256:${content.digest}, not ${checksum}`,
      );
    const time = Date.parse(answer.headers['last-modified'] ?? '');
    const mtime = Number.isNaN(time) ? 0 : Math.floor(time / 1000);
    return { name, node: { type: 'file', mode: 0o600, uid: 0, gid: 0, mtime, xattrs: new Map(), content } };
  } catch (cause) {
    if (cause instanceof GantryError || signal.aborted) throw cause;
    throw failed((cause as NodeJS.ErrnoException).code ?? (cause as Error).message, cause);
  } finally {
    transport.close();
  }
}

/** Whether a file is an archive that ADD unpacks. */
export async function archiveIn({ content }: FileNode): Promise<boolean> {
  if (content.size < 20) return false;
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of decompress(contentOf(content))) {
      head = Buffer.concat([head, chunk]);
      if (head.length >= 512) break;
    }
  } catch {
    return false;
  }
  return head.length >= 512 && isTarHeader(head.subarray(0, 512));
}

function isTarHeader(block: Buffer): boolean {
  if (block.every((byte) => byte === 0)) return false;
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  return (
    Number.parseInt(
      block
        .subarray(148, 156)
        .toString('latin1')
        .replace(/[\0 ].*$/s, ''),
      8,
    ) === sum
  );
}
