// The thread that decompresses what Node cannot: what a damaged stream leaves in a decoder's memory goes with it.
// In: chunks, null for their end, 'more' for a batch that was taken. Out: 'want' a chunk, batches, 'done', or an error's text.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';

const BATCH = 1 << 19;
const CHUNKS_AHEAD = 8;
const BATCHES_AHEAD = 4;

const { kind, arrivals } = workerData;
const chunks = [];
let ended = false;
let credit = BATCHES_AHEAD;
let batch = [];
let batched = 0;
/** Chunks that the decoder has asked for. */
let taken = 0;

/** Waits for a message: decoders ask for the next chunk in the middle of their work. */
function receive() {
  for (;;) {
    const seen = Atomics.load(arrivals, 0);
    const received = receiveMessageOnPort(parentPort);
    if (received !== undefined) {
      const { message } = received;
      if (message === 'more') credit++;
      else if (message === null) ended = true;
      else chunks.push(message);
      return;
    }
    Atomics.wait(arrivals, 0, seen);
  }
}

/** The next chunk; undefined at the end. */
function take() {
  while (chunks.length === 0 && !ended) receive();
  if (chunks.length === 0) return undefined;
  taken++;
  parentPort.postMessage('want');
  return chunks.shift();
}

function send() {
  if (batch.length === 0) return;
  while (credit === 0) receive();
  credit--;
  const buffers = batch.map(({ buffer }) => buffer);
  parentPort.postMessage(batch, buffers);
  batch = [];
  batched = 0;
}

function emit(bytes) {
  batch.push(bytes);
  batched += bytes.length;
  if (batched >= BATCH) send();
}

const decoders = {
  async zstd() {
    const { ZSTDDecoder } = await import('zstddec/stream');
    const decoder = new ZSTDDecoder();
    await decoder.init();
    const source = function* () {
      for (let chunk = take(); chunk !== undefined; chunk = take()) yield chunk;
    };
    let idle = 0;
    let before = 0;
    for (const bytes of decoder.decodeStreaming(source())) {
      // It says nothing of what it cannot decode, but goes on without end.
      idle = bytes.length > 0 || taken > before ? 0 : idle + 1;
      if (idle > 2) throw new Error('it cannot be decoded');
      before = taken;
      if (bytes.length > 0) emit(bytes);
    }
  },

  async xz() {
    const { default: xz } = await import('xz-decompress');
    const source = new ReadableStream({
      pull(controller) {
        const chunk = take();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
    });
    // xz-embedded's enum xz_ret.
    const reasons = {
      4: 'its dictionary is larger than 64 MiB',
      5: 'it is not in the format of xz',
      6: 'it uses a filter or a check other than LZMA2, CRC32 and CRC64',
      8: 'it is cut short',
    };
    try {
      for await (const bytes of new xz.XzReadableStream(source)) emit(bytes);
    } catch (error) {
      const code = /error code (\d+)/.exec(error.message)?.[1];
      throw new Error(code === undefined ? error.message : (reasons[code] ?? 'it is damaged'));
    }
  },

  async bzip2() {
    const { default: bzip2 } = await import('seek-bzip');
    let chunk = new Uint8Array();
    let at = 0;
    const isOver = () => {
      while (at === chunk.length) {
        const next = take();
        if (next === undefined) return true;
        chunk = next;
        at = 0;
      }
      return false;
    };
    const readByte = () => {
      if (at === chunk.length && isOver()) throw new Error('it is cut short');
      return chunk[at++];
    };
    const read = (target, start, length) => {
      for (let index = 0; index < length; index++) target[start + index] = readByte();
      return length;
    };
    let output = new Uint8Array(BATCH);
    let filled = 0;
    const writeByte = (byte) => {
      output[filled++] = byte;
      if (filled < BATCH) return;
      emit(output);
      output = new Uint8Array(BATCH);
      filled = 0;
    };
    // Streams behind each other are one, as for bzip2 itself.
    bzip2.decode({ readByte, read, eof: isOver }, { writeByte }, true);
    if (filled > 0) emit(output.slice(0, filled));
  },
};

for (let i = 0; i < CHUNKS_AHEAD; i++) parentPort.postMessage('want');
decoders[kind]()
  .then(
    () => {
      send();
      parentPort.postMessage('done');
    },
    (error) => parentPort.postMessage({ error: error.message }),
  )
  .finally(() => parentPort.close());
