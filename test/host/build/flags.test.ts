// Flags of build → the query of POST /build; secrets, which are not in it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildFlags, buildQuery, checkAccepted } from '../../../host/cli/build/build-flags.ts';
import { readSecrets } from '../../../host/cli/build/secrets.ts';
import { parseFlags } from '../../../host/cli/flags.ts';

const parse = (...argv: string[]) => parseFlags(buildFlags, [...argv, '.']);
const query = (...argv: string[]) => buildQuery(parse(...argv));

describe('the query', () => {
  it.each<[string[], object]>([
    [['-t', 'a', '--tag=b:c'], { t: ['a', 'b:c'] }],
    [['--target', 'x', '--platform=linux/arm64'], { target: 'x', platform: 'linux/arm64' }],
    [['--build-arg', 'A=b=c', '--build-arg', 'E='], { buildargs: '{"A":"b=c","E":""}' }],
    [['--build-arg', 'GANTRY_NO_SUCH_VARIABLE'], { buildargs: '{"GANTRY_NO_SUCH_VARIABLE":null}' }],
    [['--label', 'a=b', '--label', 'c'], { labels: '{"a":"b","c":""}' }],
    [['--no-cache', '--pull', '-q'], { nocache: '1', pull: '1', q: '1' }],
    [
      ['-m', '64m', '--memory-swap', '-1', '--shm-size=1g'],
      { memory: '67108864', memswap: '-1', shmsize: '1073741824' },
    ],
    [
      ['-c', '5', '--cpuset-cpus', '0', '--cpu-quota=10', '--cpu-period=20'],
      { cpushares: '5', cpusetcpus: '0', cpuquota: '10', cpuperiod: '20' },
    ],
    [
      ['--network=none', '--add-host=a:1.2.3.4', '--add-host', 'b:host-gateway'],
      { networkmode: 'none', extrahosts: ['a:1.2.3.4', 'b:host-gateway'] },
    ],
    [['--ulimit', 'nofile=1:2'], { ulimits: '[{"Name":"nofile","Soft":1,"Hard":2}]' }],
    [['--cache-from', 'x'], { cachefrom: '["x"]' }],
  ])('%j', (argv, expected) => {
    expect(query(...argv)).toMatchObject(expected);
  });

  it.each([
    [['--ssh', 'default'], '--ssh: no agent is forwarded'],
    [['--push'], '--push: build it with -t'],
    [['--squash'], '--squash: layers are kept'],
    [['--allow', 'x'], '--allow: RUN never'],
    [['--cache-to', 'x'], '--cache-to: '],
    [['-o', 'out'], '--output: the image stays'],
    [['--output=type=tar,dest=x'], '--output: the image stays'],
    [['--provenance=true'], '--provenance: an image here'],
    [['--buildarg', 'x'], 'Unknown flag: --buildarg'],
    [['--build-arg', '=x'], 'it has no name'],
    [['--shm-size', 'much'], '"much" for "--shm-size"'],
  ])('%j is refused', (argv, message) => {
    expect(() => {
      const parsed = parse(...argv);
      checkAccepted(parsed);
      buildQuery(parsed);
    }).toThrow(message);
  });

  it('takes what asks for nothing else', () => {
    checkAccepted(
      parse('--load', '--provenance=false', '--sbom=false', '-o', 'type=docker', '--rm', '--force-rm=false'),
    );
  });
});

describe('secrets', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-secrets-'));
  const path = join(directory, 'key');
  writeFileSync(path, 'from file\0\n');
  afterAll(() => rmSync(directory, { recursive: true }));
  const env = { TOKEN: 'from env', EMPTY: '' };
  const read = (...given: string[]): Record<string, string> =>
    Object.fromEntries(
      Object.entries(readSecrets(given, env)).map(([id, text]) => [id, Buffer.from(text, 'base64').toString()]),
    );

  it.each<[string, Record<string, string>]>([
    [`id=k,src=${path}`, { k: 'from file\0\n' }],
    [`type=file,id=k,source=${path}`, { k: 'from file\0\n' }],
    ['id=k,env=TOKEN', { k: 'from env' }],
    ['id=TOKEN', { TOKEN: 'from env' }],
    ['id=TOKEN,type=env', { TOKEN: 'from env' }],
    ['id=k,env=EMPTY', { k: '' }],
    [`id=${path}`, { [path]: 'from file\0\n' }],
  ])('%s', (text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  it.each([
    ['src=x', 'missing id'],
    ['id', "invalid field 'id' must be a key=value pair"],
    ['id=k,path=x', "unexpected key 'path'"],
    ['id=k,type=vault', 'unsupported secret type "vault"'],
    ['id=k,env=NO_SUCH', 'the variable NO_SUCH is not set'],
    ['id=k,src=/no/such', 'Cannot read the secret "k": ENOENT'],
    ['id=k,src=/dev/zero', 'larger than 500 KiB'],
  ])('%s is refused', (text, message) => {
    expect(() => read(text)).toThrow(message);
  });
});
