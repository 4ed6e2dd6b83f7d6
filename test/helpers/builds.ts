// Builds over the API, without a client between: a Dockerfile and files in, what was told out.
import { request } from 'node:http';
import { BUILD_BODY, type BuildPreamble, writePreamble } from '../../host/build/request.ts';
import { makeTar, type TarEntry } from './tar.ts';

export interface BuildAnswer {
  status: number;
  /** What the steps have written, and the builder itself. */
  text: string;
  /** "sha256:…"; empty where it failed. */
  id: string;
  /** Of a failure, wherever it was told. */
  error: string;
  code: string;
  hint: string;
  /** It was cut off. */
  broken: boolean;
}

export interface BuildOptions {
  /** Beside the Dockerfile: content by path, or whole entries. */
  files?: Record<string, string> | TarEntry[];
  query?: Record<string, string | string[]>;
  preamble?: BuildPreamble;
  headers?: Record<string, string>;
  /** In place of the tar. */
  body?: Buffer;
  /** Is told what comes as it comes. */
  heard?: (text: string) => void;
  signal?: AbortSignal;
}

export function contextOf(dockerfile: string, files: BuildOptions['files'] = {}): Buffer {
  const entries = Array.isArray(files) ? files : Object.entries(files).map(([name, content]) => ({ name, content }));
  return makeTar([{ name: 'Dockerfile', content: dockerfile }, ...entries]);
}

export function build(socket: string, dockerfile: string, options: BuildOptions = {}): Promise<BuildAnswer> {
  const { files, query = {}, preamble, headers = {}, heard = () => {}, signal } = options;
  const tar = options.body ?? contextOf(dockerfile, files);
  const body = preamble === undefined ? tar : Buffer.concat([writePreamble(preamble), tar]);
  const type = preamble === undefined ? 'application/x-tar' : BUILD_BODY;
  const parameters = Object.entries(query).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  const path = `/build?${new URLSearchParams(parameters)}`;
  return new Promise((resolve, reject) => {
    const given = { 'content-type': type, 'content-length': String(body.length), ...headers };
    const sent = request({ socketPath: socket, method: 'POST', path, headers: given, signal }, (answer) => {
      let text = '';
      let broken = true;
      answer.on('data', (chunk: Buffer) => {
        text += chunk;
        heard(chunk.toString());
      });
      answer.once('end', () => (broken = false));
      answer.on('error', () => {});
      answer.once('close', () => resolve(readAnswer(answer.statusCode ?? 0, text, broken)));
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

function readAnswer(status: number, text: string, broken: boolean): BuildAnswer {
  const lines = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Record<string, string> & { aux?: { ID: string } });
  const last = lines.at(-1) ?? {};
  return {
    status,
    text: lines.map(({ stream = '' }) => stream).join(''),
    id: lines.find(({ aux }) => aux !== undefined)?.aux?.ID ?? '',
    error: last.error ?? last.message ?? '',
    code: last.code ?? '',
    hint: last.hint ?? '',
    broken,
  };
}

/** How many steps came from the cache. */
export const cachedSteps = ({ text }: BuildAnswer): number => text.match(/ ---> Using cache\n/g)?.length ?? 0;
