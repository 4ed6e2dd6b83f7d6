// Questions that no container's name answers go on to name servers, as they came; what comes back goes back.
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';

const PATIENCE_MS = 2500;
const HEADER = 12;
/** Servers that are tried, as resolv.conf(5) has it. */
const TRIED = 3;

/** The first answer of these servers; undefined where none comes. */
export async function forward(question: Uint8Array, servers: string[], tcp: boolean): Promise<Uint8Array | undefined> {
  for (const server of servers.slice(0, TRIED)) {
    const answer = await (tcp ? askTcp : askUdp)(question, server).catch(() => undefined);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** Same ID, and an answer: the socket itself takes only what comes from the server. */
function answers(question: Uint8Array, message: Uint8Array): boolean {
  return (
    message.length >= HEADER && message[0] === question[0] && message[1] === question[1] && (message[2]! & 0x80) !== 0
  );
}

function askUdp(question: Uint8Array, server: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
    let ended = false;
    const end = (error: Error | undefined, message?: Uint8Array): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      socket.close();
      if (message !== undefined) resolve(message);
      else reject(error);
    };
    const timer = setTimeout(() => end(new Error('no answer')), PATIENCE_MS);
    socket.on('error', (error) => end(error));
    socket.on('message', (message) => {
      if (answers(question, message)) end(undefined, message);
    });
    // An address that cannot be reached is told to the callback, though the types do not say so.
    socket.connect(53, server, (error?: Error) => {
      if (error !== undefined && error !== null) end(error);
      else if (!ended) socket.send(question, (failed) => failed && end(failed));
    });
  });
}

function askTcp(question: Uint8Array, server: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server, port: 53, timeout: PATIENCE_MS });
    let received = Buffer.alloc(0);
    const end = (error: Error | undefined): void => {
      socket.destroy();
      reject(error ?? new Error('no answer'));
    };
    socket.on('error', end);
    socket.once('timeout', () => end(undefined));
    socket.once('close', () => end(undefined));
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE()) return;
      const message = received.subarray(2, 2 + received.readUInt16BE());
      socket.destroy();
      if (answers(question, message)) resolve(message);
      else reject(new Error('no answer to this question'));
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(question.length);
    socket.write(Buffer.concat([length, question]));
  });
}
