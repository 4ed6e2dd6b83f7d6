// `serve`: an engine in the foreground.
import { setFlagsFromString } from 'node:v8';
import type { LogLevel } from '../../log.ts';
import { GantryError } from '../../errors.ts';
import type { Command } from '../command.ts';
import type { Parsed } from '../flags.ts';

export const serve: Command = {
  usage: '[OPTIONS]',
  summary: 'Serve the Docker Engine API in the foreground',
  flags: [
    {
      name: 'host',
      short: 'H',
      kind: 'list',
      value: 'list',
      help: 'Sockets to listen on: unix:///PATH, tcp://ADDRESS:PORT with TLS, fd:// under systemd',
    },
    { name: 'data-root', kind: 'value', value: 'string', help: 'Directory of images, containers and volumes' },
    { name: 'idle-exit', kind: 'switch', help: 'End when nothing runs and nobody asks for anything' },
    { name: 'tls', kind: 'switch', help: 'TLS', refused: 'clients must show certificates; give --tlsverify' },
    { name: 'tlsverify', kind: 'switch', help: 'Use TLS, and take only clients with a certificate of --tlscacert' },
    { name: 'tlscacert', kind: 'value', value: 'string', help: "Trust clients' certificates signed by this authority" },
    { name: 'tlscert', kind: 'value', value: 'string', help: 'Path to the TLS certificate file' },
    { name: 'tlskey', kind: 'value', value: 'string', help: 'Path to the TLS key file' },
    { name: 'debug', short: 'D', kind: 'switch', help: 'Log every request (--log-level debug)' },
    { name: 'log-level', short: 'l', kind: 'value', value: 'string', help: 'debug, info, warn or error; default info' },
    { name: 'log-format', kind: 'value', value: 'string', help: 'text or json; default text' },
    {
      name: 'insecure-registry',
      kind: 'list',
      value: 'list',
      help: 'Registries (HOST:PORT, subnets) that may be spoken to in http, or with any certificate',
    },
    { name: 'registry-mirror', kind: 'list', value: 'list', help: 'Registries that are asked before docker.io' },
    {
      name: 'client-timeout',
      kind: 'value',
      value: 'seconds',
      help: 'How long a client may take to send a request; default 30',
    },
  ],
  args: [0, 0],
  async run(parsed, { target: { host, ...others } }) {
    const [misplaced] = Object.keys(others);
    if (misplaced !== undefined)
      throw new GantryError('INVALID_ARGUMENT', `Cannot use --${misplaced} before "serve"`, {
        hint: `Its own flags stand behind it: gantry serve --tlsverify …`,
        details: { flag: true },
      });
    const hosts = parsed.list('host');
    const tls = tlsFiles(parsed);
    const { level, format } = logOptions(parsed);
    const seconds = parsed.number('client-timeout');
    if (seconds !== undefined && seconds < 1) throw invalid('client-timeout', String(seconds), 'a second or more');
    // It rests most of its life: a heap that grows slowly is a quarter less memory there, and no fewer starts a second.
    setFlagsFromString('--optimize-for-size');
    // Started by hand it has V8's nursery of up to 16 MiB, which can be kept from growing, but for good only before the start.
    if (![...process.execArgv, process.env.NODE_OPTIONS].join(' ').includes('-semi-space-size'))
      setFlagsFromString('--semi-space-growth-factor=1');
    const engine = await import('../../index.ts');
    const log = engine.createLog({ level, format, write: (line) => process.stderr.write(line) });
    const stop = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        log.info('Got a signal', { signal });
        stop.abort();
      });
    // A terminal that goes takes the engine along; a service manager means "read your files again".
    let hangUp = (): void => stop.abort();
    process.on('SIGHUP', () => hangUp());
    await engine.serve({
      dataRoot: parsed.value('data-root'),
      hosts: hosts.length > 0 || host === undefined ? hosts : [host],
      tls,
      clientTimeoutMs: seconds === undefined ? undefined : seconds * 1000,
      insecureRegistries: parsed.list('insecure-registry'),
      registryMirrors: parsed.list('registry-mirror'),
      idleExit: parsed.switch('idle-exit'),
      log,
      signal: stop.signal,
      ready(addresses, { reload }) {
        if (!process.stdin.isTTY)
          hangUp = () => {
            try {
              reload();
              log.info('Certificates were read again');
            } catch (error) {
              log.error((error as Error).message);
            }
          };
        for (const address of addresses) process.stdout.write(`Serving on ${address}\n`);
      },
    });
    return 0;
  },
};

function tlsFiles(parsed: Parsed): { authority: string; certificate: string; key: string } | undefined {
  const names = ['tlscacert', 'tlscert', 'tlskey'];
  const [authority, certificate, key] = names.map((name) => parsed.value(name));
  if (!parsed.switch('tlsverify') && (authority ?? certificate ?? key) === undefined) return undefined;
  const missing = names.find((name) => parsed.value(name) === undefined);
  if (!parsed.switch('tlsverify') || !authority || !certificate || !key)
    throw new GantryError('INVALID_ARGUMENT', `Cannot use TLS without --${missing ?? 'tlsverify'}`, {
      hint: '--tlsverify, --tlscacert, --tlscert and --tlskey belong together',
      details: { flag: true },
    });
  return { authority, certificate, key };
}

function logOptions(parsed: Parsed): { level: LogLevel; format: 'text' | 'json' } {
  const levels: LogLevel[] = ['debug', 'info', 'warn', 'error'];
  const text = parsed.switch('debug') ? 'debug' : (parsed.value('log-level') ?? 'info');
  const level = levels.find((known) => known === text);
  if (level === undefined) throw invalid('log-level', text, 'debug, info, warn or error');
  const format = parsed.value('log-format') ?? 'text';
  if (format !== 'text' && format !== 'json') throw invalid('log-format', format, 'text or json');
  return { level, format };
}

function invalid(flag: string, value: string, wanted: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${value}" for "--${flag}": it must be ${wanted}`, {
    details: { flag },
  });
}
