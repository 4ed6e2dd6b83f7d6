// Real servers from Debian's packages, pulled from a real registry: nginx, redis and postgres as people run them.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, processesOf, until } from '../helpers/cli.ts';
import { leftovers } from '../helpers/leftovers.ts';
import type { TestRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { startServerRegistry, temporaryDirectory, whyNoServerImages } from '../helpers/server-images.ts';

/** Sends a line of redis' inline protocol and gives the answer up to where it says "+OK" or a value. */
function redis(address: string, ...commands: string[]): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host, () => socket.end(`${[...commands, 'QUIT'].join('\r\n')}\r\n`));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

describe.skipIf(whyNoContainers() || whyNoServerImages())('real servers', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  const ids: string[] = [];
  let registry: TestRegistry;
  const image = (name: string): string => `${registry.host}/${name}`;
  const runServer = async (...args: string[]): Promise<void> => {
    ids.push(await ok('run', '-d', ...args));
  };
  const state = (name: string): Promise<string> =>
    ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}', name);

  beforeAll(async () => {
    registry = await startServerRegistry();
    for (const name of ['nginx', 'redis', 'postgres']) await ok('pull', '-q', image(name));
  }, 300_000);

  afterAll(async () => {
    await here.close();
    await registry.close();
    rmSync(work, { recursive: true });
    expect(processesOf(here.dataRoot)).toEqual([]);
    expect(leftovers(here.dataRoot, ids)).toEqual([]);
  });

  it('share the layer that they have in common', async () => {
    const { stdout } = await gantry('pull', image('debian'));
    expect(stdout).toMatch(/^\w{12}: Already exists$/m);
    const base = await ok('inspect', '-f', '{{index .RootFS.Layers 0}}', image('debian'));
    for (const name of ['nginx', 'redis', 'postgres'])
      expect(await ok('inspect', '-f', '{{index .RootFS.Layers 0}} {{len .RootFS.Layers}}', image(name))).toBe(
        `${base} 2`,
      );
  });

  it('have what their layers take away taken away', async () => {
    const list = 'test -e /usr/share/doc/bash; echo $?; ls /usr/share/doc; test -e /etc/issue; echo $?';
    const run = (name: string): Promise<string> =>
      ok('run', '--rm', '--network', 'none', image(name), 'sh', '-c', list);
    expect(await run('nginx')).toBe('1\nnew\n1');
    expect(await run('debian')).toMatch(/^0\n.*\n0$/s);
  });

  it('nginx serves a bound page over a published port, with a configuration of its own', async () => {
    const [page, configuration] = [join(work, 'html'), join(work, 'lift.conf')];
    mkdirSync(page);
    writeFileSync(join(page, 'index.html'), '<h1>lifted</h1>\n');
    writeFileSync(configuration, 'server { listen 8080; root /srv/html; add_header X-Lift high; }\n');
    await runServer(
      ...['--name', 'web', '-m', '64m', '-p', '127.0.0.1::8080', '-v', `${page}:/srv/html:ro`],
      ...['--mount', `type=bind,source=${configuration},target=/etc/nginx/conf.d/lift.conf,readonly`, image('nginx')],
    );
    const url = `http://${await ok('port', 'web', '8080')}/`;
    await until(() => answers(url), 'nginx');
    const answer = await fetch(url);
    expect([await answer.text(), answer.headers.get('x-lift')]).toEqual(['<h1>lifted</h1>\n', 'high']);
    // A bind is the host's directory, not a copy.
    writeFileSync(join(page, 'index.html'), 'changed\n');
    expect(await fetch(url).then((changed) => changed.text())).toBe('changed\n');
    expect((await gantry('exec', 'web', 'touch', '/srv/html/x')).stderr).toContain('Read-only file system');
    expect(existsSync(join(page, 'x'))).toBe(false);
    expect((await fetch(`${url}missing`)).status).toBe(404);
    // Its log files are links to /dev/stdout and /dev/stderr, opened by a worker that is not root.
    await until(async () => (await ok('logs', 'web')).includes('"GET /missing HTTP/1.1" 404'), 'the access log');
    expect((await gantry('logs', 'web')).stderr).toContain('open() "/srv/html/missing" failed');
    expect(await ok('exec', 'web', 'nginx', '-t').then(() => 'fine')).toBe('fine');
    expect(await ok('top', 'web')).toMatch(/nginx: master process.*nginx: worker process/s);
    expect(await ok('stats', '--no-stream', '--format', '{{.MemUsage}}', 'web')).toMatch(/^[\d.]+MiB \/ 64MiB$/);
    // A reload starts workers anew.
    await ok('kill', '-s', 'HUP', 'web');
    await until(() => answers(url), 'nginx after the reload');
    // STOPSIGNAL is SIGQUIT: a graceful end.
    await ok('stop', 'web');
    expect(await state('web')).toBe('exited 0 false');
    await ok('rm', 'web');
  });

  it('redis keeps what it was told in a named volume', async () => {
    const start = (): Promise<void> =>
      runServer('--name', 'kv', '-m', '64m', '-p', '127.0.0.1::6379', '-v', 'kv:/data', image('redis'));
    await start();
    await until(async () => (await ok('logs', 'kv')).includes('Ready to accept connections'), 'redis');
    const address = await ok('port', 'kv', '6379');
    expect(await redis(address, 'SET crane high', 'GET crane')).toBe('+OK\r\n$4\r\nhigh\r\n+OK\r\n');
    // The volume took owner and mode of the image's directory, or the server could not have written.
    expect(await ok('exec', 'kv', 'sh', '-c', 'id -un; stat -c "%U:%G %a" /data; ls /data')).toBe(
      'redis\nredis:redis 750\nappendonlydir',
    );
    await ok('stop', 'kv');
    expect(await state('kv')).toBe('exited 0 false');
    await ok('rm', '-v', 'kv');
    await start();
    expect(await ok('inspect', '-f', '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}{{end}}', 'kv')).toBe(
      'volume kv /data',
    );
    await until(
      async () => (await redis(await ok('port', 'kv', '6379'), 'GET crane').catch(() => '')).includes('high'),
      'the data',
    );
    await ok('rm', '-f', 'kv');
    expect(await ok('volume', 'rm', 'kv')).toBe('kv');
  });

  it('redis in an anonymous volume leaves none with --rm', async () => {
    const before = await ok('volume', 'ls', '-q');
    await runServer('--rm', '--name', 'passing', '--network', 'none', image('redis'));
    expect((await ok('volume', 'ls', '-q')).split('\n').filter(Boolean)).toHaveLength(
      before.split('\n').filter(Boolean).length + 1,
    );
    await ok('stop', 'passing');
    await until(async () => (await ok('volume', 'ls', '-q')) === before, 'the volume to go');
  });

  it('postgres makes its cluster in a named volume, answers over a published port, stops clean and comes back', async () => {
    await runServer(
      ...[
        '--name',
        'db',
        '-m',
        '256m',
        '--shm-size',
        '128m',
        '-p',
        '127.0.0.1::5432',
        '-v',
        'db:/var/lib/postgresql/data',
      ],
      image('postgres'),
    );
    const ready = () => until(async () => (await gantry('exec', 'db', 'pg_isready', '-q')).status === 0, 'postgres');
    const query = async (sql: string): Promise<string> => {
      const [host = '', port = ''] = (await ok('port', 'db', '5432')).split(':');
      const client = ['run', '--rm', '--network', 'host', '--entrypoint', 'psql', image('postgres')];
      return ok(...client, '-h', host, '-p', port, '-Atc', sql);
    };
    await ready();
    expect(
      await query(
        'CREATE TABLE lift (height int); INSERT INTO lift SELECT generate_series(1, 1000); SELECT sum(height) FROM lift',
      ),
    ).toMatch(/500500$/);
    expect(await ok('exec', 'db', 'sh', '-c', 'id -un; stat -c "%U:%G %a" $PGDATA')).toBe(
      'postgres\npostgres:postgres 700',
    );
    // Shared memory of its workers lies in /dev/shm.
    expect(await ok('exec', 'db', 'sh', '-c', 'df -k /dev/shm | tail -1')).toMatch(/ 131072 /);
    expect(
      await query(
        'SET max_parallel_workers_per_gather = 2; SET debug_parallel_query = on; SELECT count(*) FROM lift',
      ).catch(() => query('SET force_parallel_mode = on; SELECT count(*) FROM lift')),
    ).toMatch(/1000$/);
    await ok('stop', 'db');
    expect(await state('db')).toBe('exited 0 false');
    expect((await gantry('logs', 'db')).stderr).toContain('database system is shut down');
    await ok('start', 'db');
    await ready();
    expect(await query('SELECT max(height) FROM lift')).toBe('1000');
    // A crash: it recovers from its log, in a new container.
    await ok('kill', 'db');
    await ok('rm', 'db');
    await runServer('--name', 'db', '-p', '127.0.0.1::5432', '-v', 'db:/var/lib/postgresql/data', image('postgres'));
    await ready();
    expect(await query('SELECT count(*) FROM lift')).toBe('1000');
    expect((await gantry('logs', 'db')).stderr).toContain('automatic recovery in progress');
    await ok('rm', '-f', 'db');
    await ok('volume', 'rm', 'db');
  });

  it('go with all that they had', async () => {
    expect(await ok('ps', '-aq')).toBe('');
    for (const name of ['nginx', 'redis', 'postgres', 'debian']) await ok('rmi', image(name));
    expect(await ok('images', '-q')).toBe('');
    const { stdout } = await gantry('info', '-f', '{{.Images}}');
    expect(stdout.trim()).toBe('0');
    expect(readFileSync(join(here.dataRoot, 'images.json'), 'utf8')).not.toContain('sha256');
  });
});
