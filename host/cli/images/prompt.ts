// Questions to a person at a terminal: a line that is seen, or a password that is not.
import { createInterface } from 'node:readline';

/** Undefined where the person leaves with Ctrl-C or Ctrl-D. */
export function askLine(question: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin, output: process.stdout });
    lines.once('close', () => resolve(undefined));
    lines.question(question, (answer) => {
      resolve(answer.trim());
      lines.close();
    });
  });
}

const [CTRL_C, CTRL_D, CTRL_U, BACKSPACE, DELETE] = ['\x03', '\x04', '\x15', '\b', '\x7f'];

/** The same, without showing what is typed. */
export function askHidden(question: string): Promise<string | undefined> {
  const { stdin, stdout } = process;
  stdout.write(question);
  stdin.setRawMode(true);
  return new Promise((resolve) => {
    let text = '';
    let ended = false;
    const end = (answer: string | undefined): void => {
      ended = true;
      stdin.off('data', onData).off('end', onEnd).pause();
      stdin.setRawMode(false);
      stdout.write('\n');
      resolve(answer);
    };
    const onEnd = (): void => end(undefined);
    const onData = (chunk: Buffer | string): void => {
      for (const letter of String(chunk)) {
        if (letter === '\r' || letter === '\n') end(text);
        else if (letter === CTRL_C || (letter === CTRL_D && text === '')) end(undefined);
        else if (letter === CTRL_U) text = '';
        else if (letter === BACKSPACE || letter === DELETE) text = [...text].slice(0, -1).join('');
        else if (letter >= ' ') text += letter;
        if (ended) return;
      }
    };
    stdin.setEncoding('utf8');
    stdin.on('data', onData).once('end', onEnd).resume();
  });
}
