// `build`: sends the context, shows what the engine tells, and says what came of it.
import { writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { BuildEvent, FailureEvent, ResultEvent, WarningEvent } from '../../build/progress.ts';
import { BUILD_BODY, BUILD_EVENTS, type BuildPreamble, writePreamble } from '../../build/request.ts';
import { engineError, queryOf } from '../../client/api.ts';
import { jsonLines } from '../../client/lines.ts';
import { GantryError } from '../../errors.ts';
import type { Command } from '../command.ts';
import type { Parsed } from '../flags.ts';
import { showProgress } from '../images/progress.ts';
import { proxyVariables } from '../proxies.ts';
import { loginsHeader } from '../images/registry.ts';
import { buildFlags, buildQuery, checkAccepted } from './build-flags.ts';
import { type BuildContext, openContext } from './context.ts';
import { type Display, noDisplay } from './display.ts';
import { excerptText, failedOutputText, warningsText } from './failure-text.ts';
import { readSecrets } from './secrets.ts';

/** The step that is the client's own. */
const SENDING = { id: 'context', name: '[internal] load build context' };
const PROGRESS = ['auto', 'plain', 'tty', 'quiet', 'rawjson'];

export const build: Command = {
  usage: '[OPTIONS] PATH | URL | -',
  summary: 'Build an image from a Dockerfile',
  flags: buildFlags,
  args: [1, 1],
  async run(parsed, { api }) {
    checkAccepted(parsed);
    const query = buildQuery(parsed, proxyVariables((await api.endpoint()).name));
    const secrets = readSecrets(parsed.list('secret'));
    const display = await displayOf(parsed);
    const sending = new Sending(display);
    const context = await openContext(parsed.args[0]!, parsed.value('file'), process.stdin, sending.progress);
    const body = bodyOf(parsed.switch('compress') ? await compressed(context) : context, secrets, sending);
    let answer: IncomingMessage;
    let result: ResultEvent | undefined;
    try {
      const { dockerfile, remote } = context;
      answer = await api.open('POST', `/build${queryOf({ ...query, dockerfile, remote })}`, {
        stream: body.stream,
        signal: body.signal,
        headers: { ...body.headers, accept: BUILD_EVENTS, ...(await loginsHeader()) },
      });
      const isOurs = answer.headers['content-type'] === BUILD_EVENTS;
      result = isOurs ? await follow(answer, display, parsed) : await classic(answer, parsed.switch('quiet'));
    } catch (error) {
      display.end();
      throw sending.failure ?? error;
    }
    if (result !== undefined) finish(parsed, result);
    return 0;
  },
};

/** @throws {GantryError} INVALID_ARGUMENT for a kind that is not known, or a terminal that is not there. */
async function displayOf(parsed: Parsed): Promise<Display> {
  const output = process.stderr;
  const kind = parsed.value('progress') || process.env.BUILDKIT_PROGRESS || 'auto';
  const invalid = (reason: string): GantryError =>
    new GantryError('INVALID_ARGUMENT', `Invalid argument "${kind}" for "--progress": ${reason}`, {
      details: { flag: 'progress' },
    });
  if (!PROGRESS.includes(kind)) throw invalid(`it is one of ${PROGRESS.join(', ')}`);
  if (parsed.switch('quiet') || kind === 'quiet') return noDisplay;
  const write = (text: string): unknown => output.write(text);
  if (kind === 'rawjson') return (await import('./raw-display.ts')).rawDisplay(write);
  if (kind === 'tty' && !output.isTTY) throw invalid('stderr is no terminal');
  if (kind === 'plain' || !output.isTTY) return (await import('./plain-display.ts')).plainDisplay(write);
  return (await import('./terminal-display.ts')).terminalDisplay(output, !process.env.NO_COLOR);
}

/** How much of the context has gone, as a step. */
class Sending {
  /** Why it could not be read: what counts more than the engine's half answer. */
  failure: unknown;
  private readonly started = Date.now();
  private bytes = 0;
  private readonly display: Display;

  constructor(display: Display) {
    this.display = display;
  }

  readonly progress = (bytes: number): void => {
    if (this.bytes === 0) this.display.event({ type: 'vertex', ...SENDING, started: this.started });
    this.bytes = bytes;
    this.tell();
  };

  private tell(completed?: number): void {
    const { started, bytes: current } = this;
    const state = { started, ...(completed === undefined ? {} : { completed }) };
    this.display.event({ type: 'status', vertex: SENDING.id, id: 'transferring context:', current, ...state });
  }

  end(): void {
    if (this.bytes === 0) return;
    const completed = Date.now();
    this.tell(completed);
    this.display.event({ type: 'vertex', ...SENDING, started: this.started, completed });
  }
}

async function compressed(context: BuildContext): Promise<BuildContext> {
  const { tar } = context;
  if (tar === undefined) return context;
  const [{ createGzip }, { pipeline }] = await Promise.all([import('node:zlib'), import('node:stream')]);
  // A failure of one end is the other's.
  return { ...context, tar: pipeline(Readable.from(tar), createGzip(), () => {}) };
}

/** The tar as it is, or behind a line of what else there is to say. */
function bodyOf(
  { tar, outside }: BuildContext,
  secrets: Record<string, string>,
  sending: Sending,
): { stream: Readable; signal: AbortSignal; headers: Record<string, string> } {
  const preamble: BuildPreamble = {
    ...(outside === undefined ? {} : { dockerfile: outside }),
    ...(Object.keys(secrets).length === 0 ? {} : { secrets }),
  };
  const plain = Object.keys(preamble).length === 0;
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    try {
      if (!plain) yield writePreamble(preamble);
      if (tar !== undefined) yield* tar;
      sending.end();
    } catch (error) {
      sending.failure = error;
      throw error;
    }
  };
  const stream = Readable.from(chunks(), { objectMode: false });
  const aborted = new AbortController();
  // A pipe passes no failure on: the engine would wait for the rest.
  stream.once('error', () => aborted.abort());
  return {
    stream,
    signal: aborted.signal,
    headers: { 'content-type': plain ? 'application/x-tar' : BUILD_BODY },
  };
}

/** Shows the events to their end. @throws {GantryError} why the build failed; what belongs to it is written before. */
async function follow(answer: IncomingMessage, display: Display, parsed: Parsed): Promise<ResultEvent> {
  const warnings: WarningEvent[] = [];
  let last: ResultEvent | FailureEvent | undefined;
  for await (const event of jsonLines<BuildEvent>(answer)) {
    if (event.type === 'warning') warnings.push(event);
    if (event.type === 'result' || event.type === 'error') last = event;
    display.event(event);
  }
  display.end();
  const raw = parsed.value('progress') === 'rawjson';
  if (last === undefined)
    throw new GantryError(
      'ENGINE_UNREACHABLE',
      'Cannot tell what came of the build: the engine ended its answer early',
      {
        hint: 'See the log of "gantry serve", and build again: what was complete by then is kept',
      },
    );
  if (last.type === 'error') {
    if (!raw)
      process.stderr.write(failedOutputText(display.failedOutput()) + (last.range ? excerptText(last.range) : ''));
    throw engineError(500, JSON.stringify(last));
  }
  if (display !== noDisplay && !raw) process.stderr.write(warningsText(warnings));
  return last;
}

/** An engine that does not know our events, such as docker: its lines as they are. */
async function classic(answer: IncomingMessage, quiet: boolean): Promise<undefined> {
  await showProgress(answer, process.stdout, quiet);
}

function finish(parsed: Parsed, { imageId, names }: ResultEvent): void {
  const write = (flag: string, text: string): void => {
    const path = parsed.value(flag);
    if (path === undefined) return;
    try {
      writeFileSync(path, text);
    } catch (cause) {
      throw new GantryError(
        'INTERNAL',
        `Cannot write the file of --${flag} "${path}": ${(cause as NodeJS.ErrnoException).code}`,
        {
          cause,
        },
      );
    }
  };
  write('iidfile', imageId);
  const metadata = {
    'containerimage.config.digest': imageId,
    'containerimage.digest': imageId,
    ...(names.length > 0 ? { 'image.name': names.join(',') } : {}),
  };
  write('metadata-file', `${JSON.stringify(metadata, null, 2)}\n`);
  if (parsed.switch('quiet')) process.stdout.write(`${imageId}\n`);
}
