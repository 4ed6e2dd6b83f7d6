// Docker's framing of stdout and stderr in one stream: u8 stream, three zeros, u32 length (big-endian), bytes.
const HEADER = 8;
const STDERR = 2;

/** Takes chunks as they come and gives whole or partial payloads on, without waiting for the end of a frame. */
export function createDemultiplexer(
  give: (stream: 'stdout' | 'stderr', data: Buffer) => void,
): (chunk: Buffer) => void {
  let header = Buffer.alloc(0);
  let left = 0;
  let stream: 'stdout' | 'stderr' = 'stdout';
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (left === 0) {
        const taken = chunk.subarray(at, at + HEADER - header.length);
        header = Buffer.concat([header, taken]);
        at += taken.length;
        if (header.length < HEADER) return;
        stream = header[0] === STDERR ? 'stderr' : 'stdout';
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        continue;
      }
      const data = chunk.subarray(at, at + left);
      give(stream, data);
      left -= data.length;
      at += data.length;
    }
  };
}
