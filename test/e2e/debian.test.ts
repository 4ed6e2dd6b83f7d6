// A whole distribution as an image: packages, accounts, setuid programs, a shell with job control.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation, processesOf, until } from '../helpers/cli.ts';
import { leftovers } from '../helpers/leftovers.ts';
import type { TestRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { startServerRegistry, whyNoServerImages } from '../helpers/server-images.ts';

const program = join(import.meta.dirname, '../../dist/cli/main.js');

/** Types at a real terminal: waits for each text, then sends what belongs to it. */
async function type(env: NodeJS.ProcessEnv, command: string, steps: [string, string][]): Promise<string> {
  const child = spawn('script', ['-qec', `${process.execPath} ${program} ${command}`, '/dev/null'], { env });
  const closed = new Promise((resolve) => child.once('close', resolve));
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  let from = 0;
  for (const [prompt, keys] of steps) {
    await until(() => output.indexOf(prompt, from) >= 0, `"${prompt}" in ${JSON.stringify(output.slice(from))}`);
    from = output.length;
    child.stdin.write(keys);
  }
  await closed;
  return output;
}

describe.skipIf(whyNoContainers() || whyNoServerImages())('Debian', () => {
  const here = createInstallation();
  const { ok, gantry, env } = here;
  let registry: TestRegistry;
  let id: string;
  const root = (script: string): Promise<string> => ok('exec', 'debian', 'bash', '-c', script);
  const lifter = (script: string): Promise<string> => ok('exec', '-u', 'lifter', 'debian', 'bash', '-c', script);

  beforeAll(async () => {
    registry = await startServerRegistry();
    id = await ok('run', '-d', '--name', 'debian', '--network', 'none', `${registry.host}/debian`, 'sleep', 'infinity');
    await root('useradd -m -s /bin/bash lifter && echo lifter:secret | chpasswd');
  }, 300_000);

  afterAll(async () => {
    await here.close();
    await registry.close();
    expect(processesOf(here.dataRoot)).toEqual([]);
    expect(leftovers(here.dataRoot, [id])).toEqual([]);
  });

  it('lists, installs and removes packages', async () => {
    expect(Number(await root('dpkg -l | grep -c ^ii'))).toBeGreaterThan(50);
    expect(await root('apt-cache policy bash | sed -n 2p')).toMatch(/Installed: 5\./);
    // dpkg has nothing to complain about: no file of the image was lost on its way.
    expect(await root('dpkg --audit; dpkg --verify 2>&1 | grep -v " /usr/share/\\(doc\\|man\\|locale\\)/"; true')).toBe(
      '',
    );
    const control =
      'Package: lift\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: a <a@example.org>\\nDescription: a crane\\n';
    await root(`mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/lift && printf '${control}' > /tmp/p/DEBIAN/control`);
    await root(
      'echo high > /tmp/p/usr/share/lift/height && dpkg-deb -b /tmp/p /tmp/lift.deb && apt-get install -y /tmp/lift.deb',
    );
    expect(await root('cat /usr/share/lift/height; dpkg -s lift | grep Status')).toBe(
      'high\nStatus: install ok installed',
    );
    await root('apt-get purge -y lift');
    expect(await root('test -e /usr/share/lift; echo $?')).toBe('1');
  });

  it('has accounts that are made in it, and exec finds them', async () => {
    expect(await lifter('id -un; pwd; echo $HOME')).toBe('lifter\n/\n/home/lifter');
    expect(await root('su - lifter -c "id -u; pwd; echo \\$HOME \\$USER"')).toBe(
      '1000\n/home/lifter\n/home/lifter lifter',
    );
    await root('groupadd -g 4000 crew && usermod -aG crew lifter');
    expect(await lifter('id -Gn')).toBe('lifter crew');
  });

  it('lets setuid programs raise what a user may, and nothing else', async () => {
    expect(await lifter('grep CapEff /proc/self/status')).toMatch(/0{16}$/);
    expect(await lifter('cat /etc/shadow 2>&1; true')).toMatch(/Permission denied/);
    expect(await lifter('echo secret | su lifter -c "id -u" 2>/dev/null')).toBe('1000');
    await root('cp /bin/cat /usr/local/bin/rootcat && chmod 4755 /usr/local/bin/rootcat');
    expect(await lifter('rootcat /etc/shadow | grep -c ^lifter:')).toBe('1');
    const guarded = ['run', '--rm', '--network', 'none', '--security-opt', 'no-new-privileges', '-u', 'nobody'];
    expect((await gantry(...guarded, `${registry.host}/debian`, 'su', '-c', 'id')).status).not.toBe(0);
  });

  it('changes a password at a terminal', async () => {
    const seen = await type(env, 'exec -it -u lifter debian passwd', [
      ['Current password:', 'secret\r'],
      ['New password:', 'Wr0ng-h0rse\r'],
      ['Retype new password:', 'Wr0ng-h0rse\r'],
    ]);
    expect(seen).toContain('password updated successfully');
    expect(seen).not.toContain('Wr0ng-h0rse');
    expect(await lifter('echo Wr0ng-h0rse | su lifter -c "echo in" 2>/dev/null')).toBe('in');
  });

  it('gives bash job control: stop, list, foreground, interrupt', async () => {
    // Each answer comes from the job itself, so that a key is never sent before the job is in the foreground.
    const job = `bash -c 'trap "echo again\\$((1))" CONT; echo go$((1)); while :; do sleep 0.1; done'`;
    const seen = await type(env, `run -it --rm --network none ${registry.host}/debian bash --norc`, [
      ['# ', `${job}\r`],
      ['go1', '\x1a'],
      ['Stopped', 'echo jobs: $(jobs -p | wc -l)\r'],
      ['jobs: 1', 'fg\r'],
      ['again1', '\x03'],
      ['# ', 'echo status: $?\r'],
      ['status: 130', 'exit 7\r'],
    ]);
    expect(seen).not.toContain('no job control');
    expect(seen).not.toContain('cannot set terminal process group');
  });

  it('runs perl, pipes, here-documents and processes by the hundred', async () => {
    expect(await root(`perl -MPOSIX -e 'print POSIX::strftime("%Y", gmtime(0)), " ", (uname())[1]'`)).toBe(
      `1970 ${id.slice(0, 12)}`,
    );
    expect(await root('for i in $(seq 300); do (exit 0) & done; wait; ls /proc | grep -c "^[0-9]"')).toMatch(/^\d$/);
    expect(await root('cat <(seq 3 | tac) - <<< four')).toBe('3\n2\n1\nfour');
    expect(await root('mkfifo /tmp/f; (echo through > /tmp/f &); cat /tmp/f')).toBe('through');
  });

  it('keeps its changes over a restart, and none of them reach the image', async () => {
    await root('echo kept > /etc/kept; rm /etc/debian_version; rm -r /usr/share/perl; mkdir /usr/share/perl');
    await ok('restart', '-t', '0', 'debian');
    expect(await root('cat /etc/kept; ls /etc/debian_version /usr/share/perl 2>/dev/null; true')).toBe(
      'kept\n/usr/share/perl:',
    );
    expect(await lifter('id -u')).toBe('1000');
    const fresh = ['run', '--rm', '--network', 'none', `${registry.host}/debian`, 'sh', '-c'];
    expect(
      await ok(...fresh, 'test -e /etc/kept; echo $?; test -e /etc/debian_version; echo $?; id lifter 2>&1; true'),
    ).toMatch(/^1\n0\n.*no such user/);
  });
});
