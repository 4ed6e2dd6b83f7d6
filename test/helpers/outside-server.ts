// TCP servers of the outside world. Started with `node`, wherever nsenter(1) puts it: port 7000 answers with the hash of what it
// got, 7001 sends so many bytes, 7002 cuts every connection off, 7003 never answers.
import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';

const [address = '', bytes = '0'] = process.argv.slice(2);
const piece = Buffer.alloc(65536, 'transferred ');

function* pieces(): Generator<Buffer> {
  for (let left = Number(bytes); left > 0; left -= piece.length) yield piece.subarray(0, left);
}

const servers: Record<number, (socket: Socket) => void> = {
  7000(socket) {
    const hash = createHash('sha256');
    socket.on('data', (data) => hash.update(data));
    socket.on('end', () => socket.end(`${hash.digest('hex')}\n`));
  },
  7001: (socket) => void Readable.from(pieces()).pipe(socket),
  7002: (socket) => void socket.once('data', () => socket.resetAndDestroy()),
  7003() {},
};

const ready = Object.entries(servers).map(
  ([port, serve]) =>
    new Promise<void>((resolve) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        socket.on('error', () => {});
        serve(socket);
      });
      server.listen(Number(port), address, resolve);
    }),
);
void Promise.all(ready).then(() => console.log('ready'));
