// A question for names, answered as this host's own programs have theirs answered.
import { fail, readQuestion, refuse } from './dns-answer.ts';
import { forward } from './dns-forward.ts';
import { hostNameServers } from './network-files.ts';

/** Always an answer, unless it is no question. */
export async function answerAsHost(question: Uint8Array, tcp: boolean): Promise<Uint8Array> {
  const asked = readQuestion(question);
  if (asked === undefined) return refuse(question);
  return (await forward(question, hostNameServers(), tcp)) ?? fail(asked);
}
