// diff, export, commit and import, by the command line and by docker's own client.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync);
if (client === undefined) console.log('The docker client is not tested: it is not installed');
const skopeo = existsSync('/usr/bin/skopeo');
if (!skopeo) console.log('Committed images are not read by skopeo: it is not installed');

/** What dockerd 20.10 answers for these changes of an image with d, e, f, opq and the files in them. */
const operations = `
rm /d/a; rm -r /d/sub; echo new >/d/new; mkdir -p /n/m; echo x >/n/m/f
rm -r /opq; mkdir /opq; echo 1 >/opq/f; mkdir /opq/x
rm -r /f; echo now-a-file >/f
rm /same; mkdir /same; echo i >/same/i
mv /e /e2
chmod 600 /chm; echo more >>/touch
ln /d/keep/c /hard
mkfifo /fifo; ln -s /x /sym; mknod /dev-null c 1 3
chmod 700 /home
exec 3>>/etc/passwd`;
const answer =
  'C /chm,C /d,D /d/a,A /d/new,D /d/sub,A /dev-null,D /e,A /e2,A /e2/in,A /e2/in/z,C /f,A /fifo,A /hard,C /home,A /mnt,' +
  'A /mnt/bind,A /n,A /n/m,A /n/m/f,C /opq,C /opq/f,C /opq/x,D /opq/x/1,D /opq/y,C /same,A /same/i,A /sym,A /tf,C /touch,A /vol';

function sorted(text: string): string {
  const lines = text.trim().split('\n');
  return lines.sort((a, b) => (a.slice(2) < b.slice(2) ? -1 : 1)).join(',');
}

describe.skipIf(whyNoContainers())('changes of containers', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = mkdtempSync(join(tmpdir(), 'gantry-snapshots-'));
  const tar = (...args: string[]): string => execFileSync('tar', args, { encoding: 'utf8' });

  beforeAll(async () => {
    const tree = busyboxTree();
    for (const path of ['d/sub', 'd/keep', 'e/in', 'f', 'opq/x', 'opq/y'])
      mkdirSync(join(tree, path), { recursive: true });
    const files = 'd/a d/sub/b d/keep/c e/in/z f/1 f/2 opq/x/1 opq/y/2 opq/f same touch chm';
    for (const path of files.split(' ')) writeFileSync(join(tree, path), path);
    const archive = makeArchive(tree, 'box:latest', {
      config: { Labels: { own: 'image' }, ExposedPorts: { '80/tcp': {} }, Shell: ['/bin/sh', '-ec'] },
    });
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    mkdirSync(join(work, 'bound'));
    const mounts = ['-v', '/vol', '-v', `${join(work, 'bound')}:/mnt/bind`, '--tmpfs', '/tf'];
    const script = `${operations}\necho volume >/vol/x; echo bound >/mnt/bind/y; echo tmpfs >/tf/z`;
    await ok('run', '--name', 'still', ...mounts, 'box', 'sh', '-c', script);
    const live = `${script}; echo ready; exec sleep 1000`;
    await ok('run', '-d', '--name', 'live', ...mounts, '-e', 'MORE=1', '-u', '0', 'box', 'sh', '-c', live);
    await ok('logs', 'live');
    while (!(await ok('logs', 'live')).includes('ready'));
  });
  afterAll(async () => {
    await here.close();
    rmSync(work, { recursive: true });
  });

  it('diff tells what docker tells, of a running container and of one that ended', async () => {
    expect(sorted(await ok('diff', 'still'))).toBe(answer);
    expect(sorted(await ok('diff', 'live'))).toBe(answer);
    await ok('create', '--name', 'fresh', 'box');
    expect(await ok('diff', 'fresh')).toBe('');
    expect((await gantry('diff', 'nobody')).stderr).toContain('No such container: nobody');
  });

  it.each(['still', 'live', 'mapped'])('export leaves out what is mounted: %s', async (name) => {
    if (name === 'mapped') {
      const script = 'chown 5:6 /touch; echo v >/vol/x; echo ready; exec sleep 1000';
      await ok('run', '-d', '--name', name, '--userns', 'auto', '-v', '/vol', 'box', 'sh', '-c', script);
      while (!(await ok('logs', name)).includes('ready'));
    }
    const file = join(work, `${name}.tar`);
    await ok('export', '-o', file, name);
    const names = tar('-tf', file).split('\n');
    expect(names).toEqual(expect.arrayContaining(['bin/busybox', 'vol/', 'dev/', 'proc/', 'etc/hosts']));
    const inside = /^(vol|mnt\/bind|tf|proc|sys|dev)\/./;
    expect(names.filter((path) => inside.test(path))).toEqual([]);
    expect(tar('-xOf', file, 'etc/hosts')).toBe('');
    if (name === 'mapped') expect(tar('-tvf', file, '--numeric-owner', 'touch')).toMatch(/ 5\/6 /);
    else expect(names).toEqual(expect.arrayContaining(['n/m/f', 'e2/in/z', 'opq/x/', 'fifo']));
    if (name !== 'mapped') expect(names).not.toContain('opq/y/2');
  });

  it('commit makes a layer that shows the same files, here and elsewhere', async () => {
    const flags = ['-a', 'A <a@b>', '-m', 'words', '-c', 'ENV A="x y" B=$MORE', '-c', 'CMD ["cat", "/f"]'];
    const id = await ok('commit', ...flags, '-c', 'LABEL more=1', '-c', 'EXPOSE 90/udp', 'live', 'made:1');
    expect(await ok('ps', '--filter', 'name=live', '--format', '{{.Status}}')).not.toContain('Paused');
    expect(await ok('run', '--rm', 'made:1')).toBe('now-a-file');
    expect(await ok('run', '--rm', 'made:1', 'ls', '/opq', '/opq/x', '/d')).toBe(
      '/d:\nkeep\nnew\n\n/opq:\nf\nx\n\n/opq/x:',
    );
    const seen = await ok(
      'run',
      '--rm',
      'made:1',
      'sh',
      '-c',
      'stat -c "%h %F" /hard /fifo /dev-null; readlink /sym 2>/dev/null; echo $A $B',
    );
    expect(seen).toBe('2 regular file\n1 fifo\n1 character special file\n/x\nx y 1');
    const [image] = JSON.parse(await ok('image', 'inspect', 'made:1'));
    expect(image).toMatchObject({
      Id: id,
      Author: 'A <a@b>',
      Comment: 'words',
      Config: { Cmd: ['cat', '/f'], Labels: { own: 'image', more: '1' }, User: '0', Shell: ['/bin/sh', '-ec'] },
    });
    expect(Object.keys(image.Config.ExposedPorts).sort()).toEqual(['80/tcp', '90/udp']);
    // The same content is the same layer, paused or not, of this or the other container.
    const again = JSON.parse(await ok('image', 'inspect', await ok('commit', '--pause=false', 'live')))[0];
    expect(again.RootFS.Layers).toEqual(image.RootFS.Layers);
    const empty = JSON.parse(await ok('image', 'inspect', await ok('commit', 'fresh')))[0];
    expect(empty.RootFS.Layers).toEqual(image.RootFS.Layers.slice(0, 1));
    if (skopeo) {
      await ok('save', '-o', join(work, 'made.tar'), 'made:1');
      for (const kind of ['docker-archive', 'oci-archive']) {
        const text = execFileSync('skopeo', ['inspect', '--config', `${kind}:${join(work, 'made.tar')}`], {
          encoding: 'utf8',
        });
        expect(JSON.parse(text).rootfs.diff_ids).toEqual(image.RootFS.Layers);
      }
    }
    expect((await gantry('commit', '-c', 'RUN x', 'live')).stderr).toContain('not a valid change command');
    expect((await gantry('commit', 'live', 'Bad/NAME')).stderr).toContain('invalid reference format');
  });

  it('import takes an exported tar, from a file and from standard input', async () => {
    const file = join(work, 'still.tar');
    const id = await ok('import', '-c', 'CMD cat /n/m/f', '-m', 'said', file, 'imported:x');
    expect(await ok('run', '--rm', 'imported:x')).toBe('x');
    expect(await ok('history', '--format', '{{.Comment}}', 'imported:x')).toBe('said');
    const packed = spawnSync(process.execPath, [
      '-e',
      `process.stdout.write(require('zlib').gzipSync(require('fs').readFileSync('${file}')))`,
    ]);
    const answer = await engineCall(here.dataRoot, 'POST', '/images/create?fromSrc=-', packed.stdout);
    const second = JSON.parse(await ok('image', 'inspect', JSON.parse(answer.body.toString()).status))[0];
    expect(second.RootFS).toEqual(JSON.parse(await ok('image', 'inspect', id))[0].RootFS);
    expect((await gantry('import', 'http://127.0.0.1:1/x.tar')).stderr).toContain(
      'Cannot download "http://127.0.0.1:1/x.tar"',
    );
    expect((await here.pipe('no tar', 'import', '-')).stderr).toMatch(/^gantry: Cannot/);
  });

  it.skipIf(client === undefined)("does the same for docker's client", () => {
    const docker = (...args: string[]): string =>
      execFileSync(client!, args, {
        encoding: 'utf8',
        env: { ...here.env, DOCKER_HOST: `unix://${here.socket}` },
        timeout: 60_000,
      });
    expect(sorted(docker('diff', 'live'))).toBe(answer);
    docker('export', '-o', join(work, 'docker.tar'), 'live');
    expect(readFileSync(join(work, 'docker.tar')).equals(readFileSync(join(work, 'live.tar')))).toBe(true);
    const id = docker('commit', '-m', 'by docker', '-c', 'WORKDIR /d', 'live', 'made:2').trim();
    expect(docker('run', '--rm', id, 'pwd')).toBe('/d\n');
    expect(docker('import', '--change', 'ENTRYPOINT ["echo"]', join(work, 'docker.tar'), 'in:2')).toMatch(
      /^sha256:\w{64}\n$/,
    );
    expect(docker('run', '--rm', 'in:2', 'hi')).toBe('hi\n');
  });
});
