// Binds of containers in a virtual machine: this host's files, of whose every change both sides know.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileStatic } from '../../scripts/compile-static.ts';
import { type Installation, until } from '../helpers/cli.ts';
import { architecture } from './installation.ts';

export function binds(installation: () => Installation): void {
  describe('have binds', () => {
    let host: string;
    const file = (name: string): string => join(host, name);
    const run = (...words: string[]): Promise<string> => installation().ok('run', '--rm', ...words);

    beforeAll(() => {
      host = mkdtempSync(join(tmpdir(), 'gantry-bound-'));
      chmodSync(host, 0o755);
      writeFileSync(file('given'), 'of the host\n');
    });
    afterAll(() => rmSync(host, { recursive: true, force: true }));

    it('of directories, which both sides write', async () => {
      const script = 'cat /src/given; echo made > /src/made; mkdir -p /src/a/b; ln -s given /src/link; cat /src/link';
      expect(await run('-v', `${host}:/src`, 'box', 'sh', '-c', script)).toBe('of the host\nof the host');
      expect(readFileSync(file('made'), 'utf8')).toBe('made\n');
      expect(statSync(file('a/b')).isDirectory()).toBe(true);
      const asUser = ['-u', '1234:2345', '-v', `${host}:/src`, 'box', 'sh', '-c'];
      chmodSync(host, 0o777);
      await run(...asUser, 'touch /src/theirs');
      expect(statSync(file('theirs'))).toMatchObject({ uid: 1234, gid: 2345 });
      expect(await installation().gantry('run', '--rm', ...asUser, 'echo x > /src/made')).toMatchObject({ status: 1 });
    });

    it('of single files, nested ones, and of what was not there', async () => {
      mkdirSync(file('inner'), { recursive: true });
      writeFileSync(file('inner/x'), 'inner\n');
      const mounts = ['-v', `${host}:/src`, '--mount', `type=bind,src=${file('inner')},dst=/src/a,readonly`];
      const single = ['-v', `${file('given')}:/etc/given`, '-v', `${file('absent')}:/absent`];
      const script = 'cat /src/a/x /etc/given; echo more >> /etc/given; touch /src/a/y || touch /absent/made';
      expect(await run(...mounts, ...single, 'box', 'sh', '-c', script)).toBe('inner\nof the host');
      expect(readFileSync(file('given'), 'utf8')).toBe('of the host\nmore\n');
      expect(existsSync(file('absent/made'))).toBe(true);
      expect(existsSync(file('inner/y'))).toBe(false);
    });

    it('that are seen by every container that has them, and from outside at once', async () => {
      const here = installation();
      await here.ok('run', '-d', '--name', 'first', '-v', `${host}:/src`, 'box', 'sleep', '1000');
      await here.ok('run', '-d', '--name', 'second', '-v', `${host}:/src:ro`, 'box', 'sleep', '1000');
      await here.ok('exec', 'first', 'sh', '-c', 'echo one > /src/shared');
      expect(await here.ok('exec', 'second', 'cat', '/src/shared')).toBe('one');
      writeFileSync(file('shared'), 'two, by the host\n');
      for (const name of ['first', 'second'])
        expect(await here.ok('exec', name, 'cat', '/src/shared')).toBe('two, by the host');
      await here.ok('rm', '-f', 'first', 'second');
    });

    it('in which programs are told of what the host changes, by inotify', async () => {
      const here = installation();
      compileStatic('notices', [join(import.meta.dirname, 'guest/notices.c')], host);
      renameSync(file(`notices-${architecture}`), file('notices'));
      const script = 'ls -l /src > /dev/null; exec /src/notices /src';
      await here.ok('run', '-d', '--name', 'watching', '-v', `${host}:/src:ro`, 'box', 'sh', '-c', script);
      let count = 0;
      await until(async () => {
        writeFileSync(file('noticed'), String(++count));
        if (/^n noticed$/m.test(await here.ok('logs', 'watching'))) return true;
        rmSync(file('noticed'));
        return false;
      }, 'a new file');
      writeFileSync(file('noticed'), 'more');
      await until(async () => /^c noticed$/m.test(await here.ok('logs', 'watching')), 'a change');
      rmSync(file('noticed'));
      await until(async () => /^d noticed$/m.test(await here.ok('logs', 'watching')), 'a removal');
      await here.ok('rm', '-f', 'watching');
    });

    it('that are read-only on this side, too: nothing in the guest makes them otherwise', async () => {
      const script =
        'grep " /src " /proc/mounts; mount -o remount,rw /src; for d in /proc/1/root/run/gantry-shares/*; do mount -o remount,rw $d; done; echo x > /src/given || echo refused';
      const root = ['--privileged', '--pid', 'host', '-v', `${host}:/src:ro`];
      const { stdout } = await installation().gantry('run', '--rm', ...root, 'box', 'sh', '-c', script);
      expect(stdout).toMatch(/ \/src fuse ro,.*refused/s);
      expect(readFileSync(file('given'), 'utf8')).not.toContain('x\n');
    });

    it('that wait for the next engine where one was killed', async () => {
      const here = installation();
      await here.ok('run', '-d', '--name', 'lasting', '-v', `${host}:/src`, 'box', 'sleep', '1000');
      expect(await here.ok('exec', 'lasting', 'sh', '-c', 'ls /src; cat /src/given')).toContain('of the host');
      process.kill(here.enginePid()!, 'SIGKILL');
      writeFileSync(file('given'), 'of the host, later\n');
      expect(await here.ok('exec', 'lasting', 'sh', '-c', 'cat /src/given; echo x > /src/after')).toBe(
        'of the host, later',
      );
      expect(readFileSync(file('after'), 'utf8')).toBe('x\n');
      await here.ok('rm', '-f', 'lasting');
    });

    it('that go when nobody needs them', async () => {
      const look = ['--privileged', '--pid', 'host', 'box', 'grep', '-c', 'gantry-shares', '/proc/1/mounts'];
      await until(async () => (await installation().gantry('run', '--rm', ...look)).stdout === '0\n', 'the last to go');
    });

    it('of a container that rests, for copies into them', async () => {
      const here = installation();
      await here.ok('create', '--name', 'resting', '-v', `${host}:/src`, 'box', 'true');
      await here.ok('cp', file('given'), 'resting:/src/copied');
      expect(readFileSync(file('copied'), 'utf8')).toBe(readFileSync(file('given'), 'utf8'));
      await here.ok('rm', 'resting');
    });

    it('but not of sockets and devices, nor with propagation, and say so', async () => {
      const here = installation();
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(file('sock'), resolve));
      execFileSync('mkfifo', [file('pipe')]);
      for (const [options, reason] of [
        [['-v', `${file('sock')}:/sock`], /a socket of this host/],
        [['-v', `${file('pipe')}:/pipe`], /neither a directory nor a file/],
        [['--mount', `type=bind,src=${host},dst=/a,bind-propagation=rshared`], /mounts do not propagate/],
      ] as const) {
        const { status, stderr } = await here.gantry('run', '--rm', ...options, 'box', 'true');
        expect([status, stderr]).toEqual([125, expect.stringMatching(reason)]);
        expect(stderr).toContain('\nHint: ');
      }
      server.close();
    });
  });
}
