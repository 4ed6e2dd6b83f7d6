// The flags of build: docker's, and why some are refused; and the query of POST /build that they make.
import { GantryError } from '../../errors.ts';
import type { Flag, Parsed } from '../flags.ts';
import { parseBytes, parseBytesOrUnlimited } from '../format/units.ts';
import { ulimit } from '../run/create-body.ts';
import { pairs } from '../run/environment.ts';

const flag = (kind: Flag['kind'], name: string, value: string, help: string, short?: string): Flag => ({
  name,
  kind,
  ...(value === '' ? {} : { value }),
  help,
  ...(short === undefined ? {} : { short }),
});
const hidden = (kind: Flag['kind'], name: string, refused?: string): Flag => ({
  name,
  kind,
  help: '',
  hidden: true,
  ...(refused === undefined ? {} : { refused }),
});

const SAVE = 'the image stays with the engine; take it out with "gantry save -o FILE"';
const ONE = 'an image here is of one platform, and has no attestations';

export const buildFlags: Flag[] = [
  flag('list', 'add-host', 'list', 'Add a custom host-to-IP mapping (format: "host:ip")'),
  flag('list', 'build-arg', 'list', 'Set build-time variables'),
  flag('list', 'cache-from', 'list', "Images to consider as cache sources (warned of: the engine's own cache is used)"),
  flag('value', 'cgroup-parent', 'string', 'Set the parent cgroup for the RUN instructions during build'),
  flag('switch', 'compress', '', 'Compress the build context using gzip'),
  flag('value', 'cpu-period', 'int', 'Limit the CPU CFS period'),
  flag('value', 'cpu-quota', 'int', 'Limit the CPU CFS quota'),
  flag('value', 'cpu-shares', 'int', 'CPU shares (relative weight)', 'c'),
  flag('value', 'cpuset-cpus', 'string', 'CPUs in which to allow execution (0-3, 0,1)'),
  flag('value', 'cpuset-mems', 'string', 'MEMs in which to allow execution (0-3, 0,1)'),
  flag('value', 'file', 'string', 'Name of the Dockerfile (default: "PATH/Dockerfile")', 'f'),
  flag('value', 'iidfile', 'string', 'Write the image ID to a file'),
  flag('list', 'label', 'list', 'Set metadata for an image'),
  flag('value', 'memory', 'bytes', 'Memory limit', 'm'),
  flag('value', 'memory-swap', 'bytes', "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
  flag('value', 'metadata-file', 'string', 'Write build result metadata to a file'),
  flag('value', 'network', 'string', 'Set the networking mode for the RUN instructions during build'),
  flag('switch', 'no-cache', '', 'Do not use cache when building the image'),
  flag('value', 'platform', 'string', 'Set target platform for build'),
  flag('value', 'progress', 'string', 'Set type of progress output ("auto", "plain", "tty", "quiet", "rawjson")'),
  flag('switch', 'pull', '', 'Always attempt to pull all referenced images'),
  flag('switch', 'quiet', '', 'Suppress the build output and print image ID on success', 'q'),
  flag('list', 'secret', 'list', 'Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")'),
  flag('value', 'shm-size', 'bytes', 'Shared memory size for build containers'),
  flag('list', 'tag', 'list', 'Name and optionally a tag (format: "name:tag")', 't'),
  flag('value', 'target', 'string', 'Set the target build stage to build'),
  flag('list', 'ulimit', 'ulimit', 'Ulimit options'),
  hidden('switch', 'load'),
  hidden('switch', 'rm'),
  hidden('switch', 'force-rm'),
  hidden('switch', 'disable-content-trust'),
  hidden('value', 'provenance'),
  hidden('value', 'sbom'),
  { ...hidden('list', 'output'), short: 'o' },
  hidden('list', 'ssh', 'no agent is forwarded; give the key with --secret and RUN --mount=type=secret'),
  hidden('list', 'allow', 'RUN never gets more than a container does'),
  hidden('list', 'attest', ONE),
  hidden('list', 'annotation', 'images have labels: --label'),
  hidden('list', 'build-context', 'stages and images are named by FROM and COPY --from'),
  hidden('list', 'cache-to', "the engine's own cache is used; it is not exported"),
  hidden('list', 'no-cache-filter', 'use --no-cache'),
  hidden('list', 'security-opt', 'RUN has the confinement that containers have by default'),
  hidden('value', 'builder', 'the engine builds itself'),
  hidden('value', 'call', 'a Dockerfile is only built'),
  hidden('switch', 'check', 'a Dockerfile is only built; warnings stand at the end of its build'),
  hidden('switch', 'push', 'build it with -t, then "gantry push NAME"'),
  hidden('switch', 'squash', 'layers are kept as they are built'),
  hidden('value', 'isolation', 'it is for Windows containers'),
];

/** @throws {GantryError} for values of accepted flags that ask for what is not done. */
export function checkAccepted(parsed: Parsed): void {
  const refuse = (name: string, reason: string): GantryError =>
    new GantryError('UNSUPPORTED', `Cannot use --${name}: ${reason}`, { details: { flag: name } });
  for (const name of ['provenance', 'sbom']) if (!/^(false|)$/i.test(parsed.value(name) ?? '')) throw refuse(name, ONE);
  for (const text of parsed.list('output')) if (!/^type=(docker|image)$/.test(text)) throw refuse('output', SAVE);
}

export type BuildQuery = Record<string, string | string[] | undefined>;

/** @throws {GantryError} INVALID_ARGUMENT naming the flag. */
export function buildQuery(parsed: Parsed, proxies: Record<string, string> = {}): BuildQuery {
  const bytes = (name: string, read = parseBytes): string | undefined => {
    const text = parsed.value(name);
    return text === undefined ? undefined : String(read(text, name));
  };
  const number = (name: string): string | undefined => parsed.number(name)?.toString();
  const on = (name: string): string | undefined => (parsed.switch(name) ? '1' : undefined);
  const json = (value: object): string | undefined =>
    Object.keys(value).length > 0 ? JSON.stringify(value) : undefined;
  return {
    t: parsed.list('tag'),
    target: parsed.value('target'),
    platform: parsed.value('platform'),
    buildargs: json({ ...proxies, ...buildArgs(parsed.list('build-arg')) }),
    labels: json(pairs(parsed.list('label'))),
    cachefrom: json(parsed.list('cache-from')),
    nocache: on('no-cache'),
    pull: on('pull'),
    q: on('quiet'),
    rm: '1',
    forcerm: on('force-rm'),
    networkmode: parsed.value('network'),
    extrahosts: parsed.list('add-host'),
    shmsize: bytes('shm-size'),
    memory: bytes('memory'),
    memswap: bytes('memory-swap', parseBytesOrUnlimited),
    cpuperiod: number('cpu-period'),
    cpuquota: number('cpu-quota'),
    cpushares: number('cpu-shares'),
    cpusetcpus: parsed.value('cpuset-cpus'),
    cpusetmems: parsed.value('cpuset-mems'),
    cgroupparent: parsed.value('cgroup-parent'),
    ulimits: json(parsed.list('ulimit').map(ulimit)),
  };
}

/** NAME alone takes this process's value; without one the Dockerfile's default stays. */
function buildArgs(given: string[], env: NodeJS.ProcessEnv = process.env): Record<string, string | null> {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=');
      if (text === '' || at === 0)
        throw new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--build-arg": it has no name`, {
          details: { flag: 'build-arg' },
        });
      return at < 0 ? [text, env[text] ?? null] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
