// Logging in as a person does: questions at a terminal, a password that nobody sees, what is stored tried first.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInstallation } from '../helpers/cli.ts';
import { startRegistry, type TestRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { temporaryDirectory } from '../helpers/server-images.ts';
import { openTerminal, type Terminal, whyNoTerminal } from '../helpers/terminal.ts';

/** Text as the bytes that a keyboard sends. */
const keys = (text: string): string => Buffer.from(text).toString('latin1');

describe.skipIf(whyNoContainers() || whyNoRegistry() || whyNoTerminal())('login', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = temporaryDirectory();
  const config = join(work, '.docker/config.json');
  let registry: TestRegistry;
  const open = (...args: string[]): Terminal =>
    openTerminal(here.env, [process.execPath, here.program, 'login', ...args, registry.host]);
  const stored = (): string | undefined => {
    const { auths = {} } = JSON.parse(readFileSync(config, 'utf8')) as { auths?: Record<string, { auth: string }> };
    const entry = auths[registry.host];
    return entry && Buffer.from(entry.auth, 'base64').toString();
  };

  beforeAll(async () => {
    delete here.env.DOCKER_CONFIG;
    here.env.HOME = work;
    const hashed = execFileSync('perl', ['-e', 'print crypt("hïgh", q($2y$05$abcdefghijklmnopqrstuu))'], {
      encoding: 'utf8',
    });
    writeFileSync(join(work, 'htpasswd'), `crane:${hashed}\n`);
    registry = await startRegistry({ auth: `{htpasswd: {realm: yard, path: ${join(work, 'htpasswd')}}}` });
    await ok('info');
  });
  afterAll(async () => {
    await here.close();
    await registry.close();
    rmSync(work, { recursive: true });
  });

  it('asks for name and password, and shows no letter of the password', async () => {
    const terminal = open();
    await terminal.see('Username: ');
    terminal.type('crane\r');
    await terminal.see('Password: ');
    // A letter too many is taken back, a line begun anew.
    terminal.type(keys('nonsense\x15hïghx\x7f\r'));
    await terminal.see('Login Succeeded');
    expect(await terminal.exit).toBe(0);
    expect(terminal.shown).not.toMatch(/h.{0,2}gh|nonsense/);
    expect(stored()).toBe('crane:hïgh');
  });

  it('tries what is stored first, and asks again where that is refused', async () => {
    const good = await gantry('login', registry.host);
    expect(good).toMatchObject({
      status: 0,
      stdout: 'Authenticating with existing credentials... [Username: crane]\nLogin Succeeded\n',
    });
    mkdirSync(join(work, '.docker'), { recursive: true });
    const auth = Buffer.from('crane:old').toString('base64');
    writeFileSync(config, JSON.stringify({ auths: { [registry.host]: { auth } } }));
    const alone = await gantry('login', registry.host);
    expect([alone.status, alone.stderr]).toEqual([1, expect.stringContaining('unauthorized')]);
    const terminal = open();
    await terminal.see('it refuses the login of "crane"');
    await terminal.see('Username: ');
    terminal.type('crane\r');
    await terminal.see('Password: ');
    terminal.type(keys('hïgh\r'));
    await terminal.see('Login Succeeded');
    expect(await terminal.exit).toBe(0);
    expect(stored()).toBe('crane:hïgh');
    await ok('logout', registry.host);
  });

  it.each([
    ['Ctrl-C at the password', 'crane\r', '\x03', 130, ''],
    ['Ctrl-D at the password', 'crane\r', '\x04', 130, ''],
    ['an empty password', 'crane\r', '\r', 1, 'The password is empty'],
    ['a wrong one', 'crane\r', 'low\r', 1, 'unauthorized'],
  ])('stores nothing after %s, and leaves the terminal as it was', async (_name, first, second, status, said) => {
    const before = existsSync(config) ? readFileSync(config, 'utf8') : undefined;
    const script = `stty -a > ${work}/before; "$@"; status=$?; stty -a > ${work}/after; exit $status`;
    const words = [process.execPath, here.program, 'login', registry.host];
    const terminal = openTerminal(here.env, ['sh', '-c', script, 'sh', ...words]);
    await terminal.see('Username: ');
    terminal.type(first);
    await terminal.see('Password: ');
    terminal.type(second);
    expect(await terminal.exit).toBe(status);
    expect(terminal.shown).toContain(said);
    expect(readFileSync(join(work, 'after'), 'utf8')).toBe(readFileSync(join(work, 'before'), 'utf8'));
    expect(existsSync(config) ? readFileSync(config, 'utf8') : undefined).toBe(before);
  });

  it('asks nobody where there is no terminal', async () => {
    const { status, stderr } = await gantry('login', registry.host);
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/Cannot perform an interactive login from a non TTY device\nHint: gantry login -u NAME/),
    ]);
    expect((await gantry('login', '--password-stdin', registry.host)).stderr).toContain(
      'Must provide --username with --password-stdin',
    );
  });
});
