// Questions for names by TCP (RFC 1035, 4.2.2): each message has its length in front.
import { Duplex } from 'node:stream';

/** What is written to it are questions, what is read the answers. */
export function answerByTcp(answer: (question: Uint8Array) => Promise<Uint8Array | undefined>): Duplex {
  let held = Buffer.alloc(0);
  const stream: Duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      held = Buffer.concat([held, chunk]);
      takeQuestions().then(
        () => done(),
        () => done(new Error('the name servers do not answer')),
      );
    },
    final(done) {
      stream.push(null);
      done();
    },
  });
  const takeQuestions = async (): Promise<void> => {
    while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
      const end = 2 + held.readUInt16BE(0);
      const question = held.subarray(2, end);
      held = held.subarray(end);
      const found = await answer(question);
      if (found === undefined) throw new Error('no answer');
      const length = Buffer.alloc(2);
      length.writeUInt16BE(found.length);
      stream.push(Buffer.concat([length, found]));
    }
  };
  return stream;
}
