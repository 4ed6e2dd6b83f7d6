// A request to the engine of an installation, without a command line between: its answer, whole.
import { request } from 'node:http';
import { join } from 'node:path';

export interface Answer {
  status: number;
  body: Buffer;
  header(name: string): string;
}

export function engineCall(dataRoot: string, method: string, path: string, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const sent = request({ socketPath: join(dataRoot, 'run/gantry.sock'), method, path, headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', () => {});
      answer.once('close', () =>
        resolve({
          status: answer.statusCode ?? 0,
          body: Buffer.concat(chunks),
          header: (name) => String(answer.headers[name] ?? ''),
        }),
      );
    });
    sent.once('error', reject);
    sent.end(body);
  });
}
