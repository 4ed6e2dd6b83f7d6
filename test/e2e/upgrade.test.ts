// gantry is replaced while containers run: they go on, the next version has them, and nothing of the last one stays.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PLAN_VERSION } from '../../core-asm/abi.ts';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, hasEnded, type Installation, processesOf, until } from '../helpers/cli.ts';
import { mortalEngine, remains } from '../helpers/mortal-engine.ts';
import { makeOtherBuild, type OtherBuild, parentOf, runsBuiltExecutor } from '../helpers/other-build.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

/** Numbers its lines; TERM ends it with 7. */
const WRITER = 'trap "exit 7" TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done';
const SETTLED = 'while ! [ -e /go ]; do sleep 0.02; done; echo last words; exit 9';

function createLooks({ ok }: Installation) {
  const field = (name: string, format: string): Promise<string> => ok('inspect', '-f', `{{${format}}}`, name);
  const lines = async (name: string): Promise<string[]> => (await ok('logs', name)).split('\n').filter(Boolean);
  return {
    field,
    pid: async (name: string): Promise<number> => Number(await field(name, '.State.Pid')),
    supervisor: async (name: string): Promise<number> => parentOf(Number(await field(name, '.State.Pid'))),
    /** Waits for more lines of a writer and sees that none is missing. */
    async goesOn(name: string): Promise<void> {
      const before = (await lines(name)).length;
      await until(async () => (await lines(name)).length > before, `more of ${name}`);
      const all = await lines(name);
      expect(all, name).toEqual(all.map((_, number) => String(number)));
    },
  };
}

async function loadBox({ ok }: Installation): Promise<void> {
  const tree = busyboxTree();
  const archive = makeArchive(tree, 'box:latest');
  await ok('load', '-i', archive);
  for (const path of [tree, archive]) rmSync(path, { recursive: true });
}

describe.skipIf(whyNoContainers())('an upgrade', () => {
  const here = createInstallation();
  const { ok, gantry, program } = here;
  const engine = mortalEngine(here);
  const { field, pid, supervisor, goesOn } = createLooks(here);
  const ids: string[] = [];
  let last: OtherBuild;
  let restarts: number;
  const run = async (name: string, ...args: string[]): Promise<void> => {
    ids.push(await ok('run', '-d', '--name', name, ...args));
  };
  /** What the web server answers, once it listens. A port that was left to the machine is another one after a restart. */
  const served = async (): Promise<string> => {
    const port = (await ok('port', 'web', '80/tcp')).split(':').at(-1);
    let text: string | undefined;
    await until(async () => {
      text = await fetch(`http://127.0.0.1:${port}/`)
        .then((answer) => answer.text())
        .catch(() => undefined);
      return text !== undefined;
    }, 'an answer');
    return text!;
  };

  beforeAll(async () => {
    last = await makeOtherBuild();
    here.program = last.program;
    await engine.start(last.program);
    await loadBox(here);
    ids.push(await ok('network', 'create', 'inner'));
    await run('writer', 'box', 'sh', '-c', WRITER);
    await run('frozen', '--network', 'none', 'box', 'sh', '-c', WRITER);
    await ok('pause', 'frozen');
    const health = ['--health-cmd', 'test ! -e /ill', '--health-interval', '100ms', '--health-retries', '1'];
    const web = [...health, '--init', '--network', 'inner', '-p', '127.0.0.1:0:80'];
    await run('web', ...web, 'box', 'httpd', '-f', '-h', '/var/www');
    await run('guest', '--network', 'inner', 'box', 'sleep', '1000');
    const ending = ['--network', 'none', 'box', 'sh', '-c', SETTLED];
    await run('ending', ...ending);
    await run('passing', '--rm', ...ending);
    await until(async () => (await field('web', '.State.Health.Status')) === 'healthy', 'health');
    await run('again', '--restart', 'always', '--network', 'none', 'box', 'sh', '-c', 'exit 3');
    // By then its delay is longer than it takes to kill an engine.
    const waits = async (): Promise<boolean> => {
      const [state, count] = (await field('again', '.State.Status}} {{.RestartCount')).split(' ');
      restarts = Number(count);
      return state === 'restarting' && restarts >= 4;
    };
    await until(waits, 'a long delay');

    const resident = last.processes().find((each) => parentOf(each) === here.enginePid());
    const ends = await Promise.all(['ending', 'passing'].map(pid));
    expect(last.runs(await supervisor('writer'))).toBe(true);
    await engine.kill();
    await until(() => hasEnded(resident!), "the last engine's executor to end");
    for (const each of ends) writeFileSync(`/proc/${each}/root/go`, '');
    await until(() => ends.every(hasEnded), 'containers that end without an engine');
    last.remove();
    here.program = program;
    await engine.start();
  });
  afterAll(async () => {
    await here.close();
    expect(last.processes()).toEqual([]);
  });

  it('takes every container over as it was left', async () => {
    const states = (await ok('ps', '-a', '--format', '{{.Names}} {{.State}}')).split('\n').toSorted();
    expect(states.filter((line) => !line.startsWith('again'))).toEqual([
      'ending exited',
      'frozen paused',
      'guest running',
      'web running',
      'writer running',
    ]);
    expect(await field('ending', '.State.ExitCode')).toBe('9');
    expect(await ok('logs', 'ending')).toBe('last words');
    await goesOn('writer');
    await until(async () => Number(await field('again', '.RestartCount')) > restarts, 'a restart after the delay');
    expect(last.runs(await supervisor('writer'))).toBe(true);
  });

  it('enters, copies, limits and thaws what the last version started', async () => {
    expect(await ok('exec', 'writer', 'sh', '-c', 'echo in > /note; cat /note')).toBe('in');
    const copy = join(here.dataRoot, 'copy');
    await ok('cp', 'writer:/note', copy);
    await ok('cp', copy, 'guest:/copied');
    expect(await ok('exec', 'guest', 'cat', '/copied')).toBe('in');
    rmSync(copy);
    await ok('update', '--cpu-shares', '512', 'writer');
    expect(await field('writer', '.HostConfig.CpuShares')).toBe('512');
    await ok('unpause', 'frozen');
    await goesOn('frozen');
  });

  it('keeps ports, names, networks and health checks at work', async () => {
    expect(await served()).toBe('served\n');
    const fetched = ['wget', '-q', '-O', '-', 'http://web/'];
    expect(await ok('exec', 'guest', ...fetched)).toBe('served');
    await ok('network', 'connect', 'inner', 'writer');
    expect(await ok('exec', 'writer', ...fetched)).toBe('served');
    await ok('network', 'disconnect', 'inner', 'writer');
    expect((await gantry('exec', 'writer', ...fetched)).status).toBe(1);
    expect(await field('web', '.State.Health.Status')).toBe('healthy');
    await ok('exec', 'web', 'touch', '/ill');
    await until(async () => (await field('web', '.State.Health.Status')) === 'unhealthy', 'an ill container');
  });

  it('starts with its own executor, and the last one goes with its containers', async () => {
    await run('fresh', '--network', 'inner', 'box', 'sleep', '1000');
    expect(await ok('exec', 'fresh', 'wget', '-q', '-O', '-', 'http://web/')).toBe('served');
    await ok('restart', '-t', '1', 'web');
    for (const name of ['fresh', 'web']) expect(runsBuiltExecutor(await supervisor(name)), name).toBe(true);
    expect(await served()).toBe('served\n');
    await ok('stop', 'writer');
    expect(await field('writer', '.State.ExitCode')).toBe('7');
    await ok('rm', 'writer');
    await ok('kill', 'frozen');
    await ok('rm', '-f', 'guest', 'frozen', 'ending');
    await until(() => last.processes().length === 0, "the last version's executor to be gone");
    ids.push(...(await ok('ps', '-aq', '--no-trunc')).split('\n'));
    await ok('rm', '-f', 'fresh', 'web', 'again');
    expect(await ok('ps', '-aq')).toBe('');
    await ok('network', 'rm', 'inner');
    await engine.close();
    await until(() => remains(here, ids).length === 0, 'nothing to be left').catch(() => {});
    expect(remains(here, ids)).toEqual([]);
  });
});

describe.skipIf(whyNoContainers())('supervisors of another version', () => {
  const here = createInstallation();
  const { ok, gantry, program } = here;
  const engine = mortalEngine(here);
  const { field, goesOn } = createLooks(here);
  const versions = [PLAN_VERSION - 1, PLAN_VERSION + 1];
  const builds: OtherBuild[] = [];

  beforeAll(async () => {
    builds.push(...(await Promise.all(versions.map((version) => makeOtherBuild([`-DHELLO_VERSION=${version}`])))));
    for (const [index, build] of builds.entries()) {
      here.program = build.program;
      await engine.start(build.program);
      if (index === 0) await loadBox(here);
      if (index === 0) await ok('network', 'create', 'inner');
      const of = (name: string): string[] => [
        'run',
        '-d',
        '--name',
        `${name}-${versions[index]}`,
        '--network',
        'inner',
      ];
      const health = ['--health-cmd', 'true', '--health-interval', '50ms', '--health-retries', '1'];
      await ok(...of('stopped'), ...health, 'box', 'sh', '-c', WRITER);
      await ok(...of('killed'), 'box', 'sh', '-c', WRITER);
      await engine.kill();
    }
    here.program = program;
    await engine.start();
    await ok('network', 'create', 'other');
  });
  afterAll(async () => {
    await here.close();
    for (const build of builds) expect(build.processes()).toEqual([]);
    for (const build of builds) build.remove();
    expect(processesOf(here.dataRoot)).toEqual([]);
  });

  for (const version of versions) {
    const [stopped, killed] = [`stopped-${version}`, `killed-${version}`];

    it(`refuses what enters a container of version ${version}, and says what helps`, async () => {
      const copy = join(here.dataRoot, 'copy');
      const entering = [
        ['exec', killed, 'true'],
        ['exec', '-d', killed, 'true'],
        ['cp', `${killed}:/etc/passwd`, copy],
        ['network', 'connect', 'other', killed],
        ['network', 'disconnect', 'inner', killed],
      ];
      for (const words of entering) {
        const { status, stdout, stderr } = await gantry(...words);
        expect([words, status === 0, stdout]).toEqual([words, false, '']);
        expect(stderr).toContain(
          `another version of gantry started it (its supervisor reads plans of version ${version}`,
        );
        expect(stderr).toContain('Hint: Restart the container; until then ps, logs, stop, kill and rm work as ever');
      }
      const networks = '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}';
      expect((await ok('inspect', '-f', networks, killed)).trim()).toBe('inner');
    });

    it(`shows, freezes, stops, kills and removes a container of version ${version}`, async () => {
      for (const name of [stopped, killed]) {
        expect(await field(name, '.State.Status')).toBe('running');
        await goesOn(name);
      }
      // Nobody could look: that makes nobody ill.
      expect(await field(stopped, '.State.Health.Status')).toBe('starting');
      await ok('pause', killed);
      expect(await ok('ps', '--filter', `name=${killed}`, '--format', '{{.State}}')).toBe('paused');
      await ok('unpause', killed);
      await ok('stop', stopped);
      expect(await field(stopped, '.State.ExitCode')).toBe('7');
      await ok('kill', killed);
      await until(async () => (await field(killed, '.State.ExitCode')) === '137', 'the end of a kill');
      await ok('start', stopped);
      expect(await ok('exec', stopped, 'echo', 'entered')).toBe('entered');
      await until(async () => (await field(stopped, '.State.Health.Status')) === 'healthy', 'health after the restart');
      await ok('rm', '-f', stopped, killed);
    });
  }
});
