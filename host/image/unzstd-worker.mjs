// The thread that decompresses zstd where Node cannot: what a damaged stream leaves in the decoder's memory goes with it.
// In: chunks, null for their end, 'more' for a batch that was taken. Out: 'want' a chunk, batches, 'done', or an error's text.
import { parentPort } from 'node:worker_threads';
import { ZSTDDecoder } from 'zstddec/stream';

const BATCH = 1 << 19;
const CHUNKS_AHEAD = 8;
const BATCHES_AHEAD = 4;

const chunks = [];
let ended = false;
let credit = BATCHES_AHEAD;
/** Chunks that the decoder has asked for. */
let taken = 0;

function* source() {
  while (chunks.length > 0) {
    taken++;
    parentPort.postMessage('want');
    yield chunks.shift();
  }
}

let output;

/** Decodes while there is something to take: the decoder asks for the next chunk when it likes, and must find one or the end. */
function decodeBatch() {
  const batch = [];
  let idle = 0;
  for (let size = 0; size < BATCH && (chunks.length > 0 || ended); ) {
    const before = taken;
    const { done, value } = output.next();
    if (done) return { batch, done };
    // It says nothing of what it cannot decode, but goes on without end.
    idle = value.length > 0 || taken > before ? 0 : idle + 1;
    if (idle > 2) throw new Error('it cannot be decoded');
    if (value.length > 0) batch.push(value);
    size += value.length;
  }
  return { batch, done: false };
}

function decode() {
  while (credit > 0) {
    const { batch, done } = decodeBatch();
    if (batch.length > 0) {
      credit--;
      parentPort.postMessage(
        batch,
        batch.map(({ buffer }) => buffer),
      );
    }
    if (done) {
      parentPort.postMessage('done');
      parentPort.close();
      return;
    }
    if (batch.length === 0) return;
  }
}

const decoder = new ZSTDDecoder();
decoder.init().then(() => {
  output = decoder.decodeStreaming(source());
  parentPort.on('message', (message) => {
    if (message === 'more') credit++;
    else if (message === null) ended = true;
    else chunks.push(message);
    try {
      decode();
    } catch (error) {
      parentPort.postMessage({ error: error.message });
      parentPort.close();
    }
  });
  for (let i = 0; i < CHUNKS_AHEAD; i++) parentPort.postMessage('want');
});
