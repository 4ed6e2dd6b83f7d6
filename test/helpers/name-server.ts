// A DNS server of the outside world: knows one name, by UDP and TCP. Started with `node`, wherever nsenter(1) puts it.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { decode, encode } from 'dns-packet';

function answer(question: Buffer): Buffer {
  const { id = 0, questions = [] } = decode(question);
  const [{ name, type } = { name: '', type: 'A' }] = questions;
  const known = name === 'outside.example' && type === 'A';
  return encode({
    type: 'response',
    id,
    flags: known ? 0x180 : 0x183,
    questions,
    answers: known ? [{ name, type: 'A', ttl: 1, data: '192.0.2.99' }] : [],
  });
}

const udp = createSocket('udp4');
udp.on('message', (question, { port, address }) => udp.send(answer(question), port, address));
const tcp = createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', (data) => {
    const reply = answer(data.subarray(2));
    socket.end(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
  });
});
udp.bind(53, process.argv[2], () => tcp.listen(53, process.argv[2], () => console.log('ready')));
