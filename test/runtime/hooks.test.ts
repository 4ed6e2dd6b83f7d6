// Hooks of every kind: when they run, where, what they are told, and what their failure ends (runtime.md, "Lifecycle").
import { chmodSync, existsSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bundles, type Called, createBundles } from '../helpers/bundles.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

const kinds = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'];

describe.skipIf(whyNoContainers())('hooks', () => {
  let bundles: Bundles;
  let told: string;
  let script: string;
  beforeAll(() => {
    bundles = createBundles();
    told = join(bundles.directory, 'told');
    script = join(bundles.directory, 'hook.sh');
    // startContainer finds its program and its files in the container.
    const text = `#!/bin/sh\nstate=$(cat)\nns=$(readlink /proc/self/ns/mnt)\n[ "$ns" = "$HOST" ] && ns=host || ns=own\necho "$1 $ns $state" >> $TOLD\n[ "$1" != "$FAIL" ] || { echo "$1 is sad" >&2; exit 3; }\n`;
    writeFileSync(script, text);
    writeFileSync(join(bundles.directory, 'rootfs/hook.sh'), text);
    for (const file of [script, join(bundles.directory, 'rootfs/hook.sh')]) chmodSync(file, 0o755);
  });
  afterAll(() => bundles.close());

  interface Told {
    kind: string;
    where: string;
    state: { status: string; pid: number; id: string; bundle: string; annotations: object };
  }
  function run(fail = '', args = ['true']): { ran: Called; told: Told[] } {
    const inside = join(bundles.directory, 'rootfs/told');
    for (const file of [told, inside]) rmSync(file, { force: true });
    const bundle = bundles.bundle((config) => {
      config.process.args = args;
      config.annotations = { of: 'test' };
      const env = (file: string) => [
        'PATH=/bin:/usr/bin',
        `TOLD=${file}`,
        `FAIL=${fail}`,
        `HOST=${readlinkSync('/proc/self/ns/mnt')}`,
      ];
      config.hooks = Object.fromEntries(
        kinds.map((kind) => {
          const own = kind === 'startContainer';
          return [kind, [{ path: own ? '/hook.sh' : script, args: ['hook', kind], env: env(own ? '/told' : told) }]];
        }),
      );
    });
    const ran = bundles.call('run', '--bundle', bundle, 'hooked');
    const lines = [told, inside].flatMap((file) =>
      existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [],
    );
    const found = lines.map((line) => {
      const [, kind = '', where = '', state = ''] = /^(\S+) (\S+) (.*)$/.exec(line) ?? [];
      return { kind, where, state: JSON.parse(state) };
    });
    expect(bundles.call('state', 'hooked').status).not.toBe(0);
    return { ran, told: found.sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind)) };
  }

  it('run in order, in their places, with the state', () => {
    const { ran, told: all } = run();
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    expect(all.map(({ kind, where, state }) => `${kind} ${where} ${state.status}`)).toEqual([
      'prestart host creating',
      'createRuntime host creating',
      'createContainer own creating',
      'startContainer own created',
      'poststart host running',
      'poststop host stopped',
    ]);
    const pids = new Set(all.slice(0, 5).map(({ state }) => state.pid));
    expect(pids.size).toBe(1);
    expect([...pids][0]).toBeGreaterThan(1);
    for (const { state } of all) expect(state).toMatchObject({ id: 'hooked', annotations: { of: 'test' } });
  });

  it.each(kinds.slice(0, 5))('%s that fails ends the container, and poststop runs', (kind) => {
    const { ran, told: all } = run(kind);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain(`the ${kind} hook`);
    expect(ran.stderr).toContain('exited with status 3');
    expect(all.map((hook) => hook.kind)).toEqual([...kinds.slice(0, kinds.indexOf(kind) + 1), 'poststop']);
  });

  it('poststop that fails is a warning', () => {
    expect(run('poststop').ran.status).toBe(0);
  });

  it('are killed at their timeout', () => {
    const bundle = bundles.bundle((config) => {
      config.hooks = { createRuntime: [{ path: '/bin/sleep', args: ['sleep', '100'], timeout: 1 }] };
    });
    expect(bundles.call('create', '--bundle', bundle, 'slow').stderr).toContain('it took longer than its timeout');
  });
});
