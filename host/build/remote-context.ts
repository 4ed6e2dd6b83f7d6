// A context from an address: a tar, or a text that is the Dockerfile alone.
import { GantryError } from '../errors.ts';
import { createTransport } from '../image/registry/transport.ts';
import type { BuildRequest } from './build-request.ts';

/** Of a Dockerfile at most. */
const TEXT_MAX = 16 << 20;

/** @throws {GantryError} UNSUPPORTED for repositories, INVALID_ARGUMENT, REGISTRY_FAILED. */
export async function remoteContext(
  address: string,
  signal: AbortSignal,
): Promise<Pick<BuildRequest, 'context' | 'dockerfileText'>> {
  const failed = (reason: string, cause?: unknown): GantryError =>
    new GantryError('REGISTRY_FAILED', `Cannot download the context "${address}": ${reason}`, {
      hint: 'Check the address and the network',
      cause,
    });
  if (!/^https?:\/\//.test(address) || /\.git(#.*)?$/.test(address))
    throw new GantryError('UNSUPPORTED', `Cannot build from "${address}": repositories are not fetched`, {
      hint: 'Clone it, and build from the directory',
    });
  if (!URL.canParse(address)) throw new GantryError('INVALID_ARGUMENT', `Cannot read the address "${address}"`);
  const transport = createTransport(signal);
  const answer = await transport.send(new URL(address), { headers: {} }).catch((cause: NodeJS.ErrnoException) => {
    transport.close();
    throw failed(cause.code ?? cause.message, cause);
  });
  answer.body.once('close', () => transport.close());
  if (answer.status !== 200) {
    answer.body.destroy();
    throw failed(`the server answered ${answer.status}`);
  }
  const chunks = answer.body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const first = await chunks.next();
  const head: Buffer = first.done ? Buffer.alloc(0) : first.value;
  const rest = async function* (): AsyncGenerator<Uint8Array> {
    yield head;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
  };
  // An archive has bytes that no text has: gzip's and zstd's own first ones, or zeros in a tar's header.
  if (head.subarray(0, 512).includes(0) || head[0] === 0x1f || head[0] === 0x28 || head[0] === 0xfd)
    return { context: rest() };
  const text: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of rest()) {
    text.push(chunk);
    size += chunk.length;
    if (size > TEXT_MAX) throw failed('it is no archive, and too long for a Dockerfile');
  }
  return { dockerfileText: { name: 'Dockerfile', text: Buffer.concat(text).toString() } };
}
