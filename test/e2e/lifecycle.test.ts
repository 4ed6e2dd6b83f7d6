// A container's life over the API: statuses and words that docker's clients know, and the events of all of it.
import { rmSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation, until } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

interface Event {
  status?: string;
  id?: string;
  from?: string;
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  scope: string;
}

describe.skipIf(whyNoContainers())('the life of a container', () => {
  const here = createInstallation();
  const { ok } = here;

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest', { config: { Labels: { from: 'image' } } });
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  /** Status, then the message where there is one. */
  const call = async (method: string, path: string, body?: object): Promise<[number, string]> => {
    const answer = await engineCall(here.dataRoot, method, path, body && Buffer.from(JSON.stringify(body)));
    const text = answer.body.toString();
    return [answer.status, answer.status >= 400 ? (JSON.parse(text) as { message: string }).message : text];
  };
  const make = async (name: string, command: string[], more: object = {}): Promise<string> => {
    const [status, text] = await call('POST', `/containers/create?name=${name}`, {
      Image: 'box',
      Cmd: command,
      ...more,
      HostConfig: { NetworkMode: 'none', ...(more as { HostConfig?: object }).HostConfig },
    });
    expect(status, text).toBe(201);
    return (JSON.parse(text) as { Id: string }).Id;
  };
  const stateOf = async (name: string): Promise<Record<string, unknown>> => {
    const [, text] = await call('GET', `/containers/${name}/json`);
    const { State, RestartCount } = JSON.parse(text) as { State: object; RestartCount: number };
    return { ...State, RestartCount };
  };
  const eventsOf = async (filters: object): Promise<Event[]> => {
    const query = `since=1&until=${(Date.now() / 1000 + 0.001).toFixed(6)}&filters=${encodeURIComponent(JSON.stringify(filters))}`;
    const [, text] = await call('GET', `/events?${query}`);
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Event);
  };
  const actions = async (filters: object): Promise<string[]> => (await eventsOf(filters)).map(({ Action }) => Action);

  it('answers each request in each state as docker does', async () => {
    await make('one', ['sleep', '600'], { StopSignal: 'SIGKILL' });
    for (const [method, path, status, message] of [
      ['POST', 'kill', 409, /^Cannot kill container: one: Container .* is not running$/],
      ['POST', 'pause', 409, /is not running$/],
      ['POST', 'resize?h=1&w=1', 409, /is not running$/],
      ['GET', 'top', 409, /is not running$/],
      ['POST', 'exec', 409, /is not running$/],
      ['POST', 'stop', 304, /^$/],
      ['POST', 'wait', 200, /^\{"StatusCode":0\}/],
      ['POST', 'wait?condition=sometimes', 400, /condition/],
      ['POST', 'start', 204, /^$/],
      ['POST', 'start', 304, /^$/],
      ['POST', 'kill?signal=NOPE', 400, /Invalid signal: NOPE$/],
      ['POST', 'kill?signal=0', 204, /^$/],
      ['POST', 'unpause', 409, /is not paused$/],
      ['POST', 'pause', 204, /^$/],
      ['POST', 'pause', 409, /is already paused$/],
      ['POST', 'start', 409, /^Cannot start a paused container, try unpause instead$/],
      ['POST', 'attach?stream=1&stdout=1', 409, /is paused, unpause the container before attach$/],
      ['DELETE', '', 409, /^Cannot remove container "one": container is paused and must be unpaused first$/],
      ['POST', 'restart?t=0', 204, /^$/],
      ['DELETE', '', 409, /container is running: stop the container before removing or force remove$/],
      ['DELETE', '?link=1', 501, /^Cannot remove a link/],
      ['POST', 'rename?name=one', 400, /^Renaming a container with the same name as its current name$/],
      ['POST', 'rename?name=', 400, /^Neither old nor new names may be empty$/],
      ['POST', 'rename?name=a/b', 400, /^Invalid container name \(a\/b\), only/],
      ['POST', 'rename?name=two', 204, /^$/],
    ] as [string, string, number, RegExp][]) {
      const [got, text] = await call(
        method,
        `/containers/one${/^(\?|$)/.test(path) ? path : `/${path}`}`,
        path === 'exec' ? { Cmd: ['true'] } : undefined,
      );
      expect([`${method} ${path}`, got, text]).toEqual([`${method} ${path}`, status, expect.stringMatching(message)]);
    }
    await make('three', ['true']);
    expect(await call('POST', '/containers/three/rename?name=two')).toEqual([
      409,
      expect.stringMatching(/^Error when allocating new name: Conflict\. The container name "\/two" is already in use/),
    ]);
    expect(await call('POST', '/containers/two/stop?t=0')).toEqual([204, '']);
    expect(await call('DELETE', '/containers/two')).toEqual([204, '']);
    expect(await call('DELETE', '/containers/three')).toEqual([204, '']);
    expect((await call('POST', '/containers/two/start'))[0]).toBe(404);
    expect((await call('DELETE', '/containers/two?force=1'))[0]).toBe(404);
  });

  it('tells all of it as events, with docker attributes, and finds them by docker filters', async () => {
    const id = await make('told', ['sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.05; done'], {
      Labels: { own: 'label' },
      HostConfig: { NetworkMode: 'none', Mounts: [{ Type: 'volume', Source: 'kept', Target: '/kept' }] },
    });
    await call('POST', '/containers/told/start');
    await ok('exec', 'told', 'true');
    await ok('top', 'told');
    await ok('cp', 'told:/etc/passwd', '-');
    await ok('pause', 'told');
    await ok('unpause', 'told');
    await ok('update', '-c', '512', 'told');
    await ok('rename', 'told', 'retold');
    await ok('stop', 'retold');
    await ok('rm', 'retold');
    const all = await eventsOf({ container: [id] });
    expect(all.map(({ Action }) => Action)).toEqual(
      'create;start;exec_create: true ;exec_start: true ;exec_die;top;archive-path;pause;unpause;update;rename;kill;die;stop;destroy'.split(
        ';',
      ),
    );
    const byAction = (action: string): Event => all.find(({ Action }) => Action.startsWith(action))!;
    expect(byAction('create')).toMatchObject({
      status: 'create',
      id,
      from: 'box',
      Type: 'container',
      scope: 'local',
      Actor: { ID: id, Attributes: { image: 'box', name: 'told', from: 'image', own: 'label' } },
    });
    expect(byAction('die').Actor.Attributes).toMatchObject({
      exitCode: '3',
      execDuration: expect.stringMatching(/^\d+$/),
      name: 'retold',
    });
    expect(byAction('kill').Actor.Attributes).toMatchObject({ signal: '15' });
    expect(byAction('exec_die').Actor.Attributes).toMatchObject({
      exitCode: '0',
      execID: expect.stringMatching(/^\w{64}$/),
    });
    expect(byAction('rename').Actor.Attributes).toMatchObject({ oldName: '/told', name: 'retold' });
    expect(await actions({ container: ['reto'] })).toEqual(['rename', 'kill', 'die', 'stop', 'destroy']);
    expect(await actions({ container: { [id]: true }, event: { die: true } })).toEqual(['die']);
    expect(await actions({ container: [id], event: ['exec_create', 'exec_die'] })).toEqual([
      'exec_create: true ',
      'exec_die',
    ]);
    expect(await actions({ container: [id], event: ['exec_create: true'] })).toEqual(['exec_create: true ']);
    expect(await actions({ label: ['own=label'], type: ['container'], event: ['create'] })).toEqual(['create']);
    expect(await actions({ type: ['volume'], volume: ['kept'] })).toEqual(['create', 'mount', 'unmount']);
    expect((await actions({ image: ['box'], event: ['create'] })).length).toBeGreaterThan(0);
    expect(await actions({ type: ['image'] })).toEqual(['load']);
    expect(await actions({ scope: ['swarm'] })).toEqual([]);
    expect((await call('GET', '/events?filters=%7B%22colour%22%3A%5B%22red%22%5D%7D'))[0]).toBe(400);
    expect((await call('GET', '/events?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z'))[0]).toBe(400);
    const shown = await ok('events', '--since', '1h', '--until', '0s', '-f', 'event=die', '-f', `container=${id}`);
    expect(shown).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) container die \w{64} \(execDuration=\d+, exitCode=3, from=image, image=box, name=retold, own=label\)$/,
    );
    await ok('volume', 'rm', 'kept');
  });

  it('streams events as they come, to the moment that was asked for', async () => {
    const stream = call(
      'GET',
      `/events?until=${Date.now() / 1000 + 1.5}&filters=${encodeURIComponent('{"event":["create"]}')}`,
    );
    await make('late', ['true']);
    expect((await stream)[1]).toContain('"name":"late"');
    await call('DELETE', '/containers/late');
  });

  it('lets several wait: for the next exit, for its end, for its removal', async () => {
    await make('awaited', ['sleep', '600']);
    const next = call('POST', '/containers/awaited/wait?condition=next-exit');
    const gone = call('POST', '/containers/awaited/wait?condition=removed');
    await call('POST', '/containers/awaited/start');
    const ends = [1, 2].map(() => call('POST', '/containers/awaited/wait'));
    await call('POST', '/containers/awaited/kill?signal=KILL');
    for (const [status, text] of await Promise.all([next, ...ends]))
      expect([status, text]).toEqual([200, '{"StatusCode":137}\n']);
    expect(await call('POST', '/containers/awaited/wait')).toEqual([200, '{"StatusCode":137}\n']);
    await call('DELETE', '/containers/awaited');
    expect(await gone).toEqual([200, '{"StatusCode":137}\n']);
  });

  it('lets a client leave a terminal by the keys that it named, also where it does not look for them itself', async () => {
    await make('typed', ['cat'], { Tty: true, OpenStdin: true });
    await call('POST', '/containers/typed/start');
    const seen = await new Promise<string>((resolve, reject) => {
      const path = '/containers/typed/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,x';
      const headers = { connection: 'Upgrade', upgrade: 'tcp' };
      const sent = request({ socketPath: here.socket, method: 'POST', path, headers }).once('error', reject).end();
      sent.once('upgrade', (_answer, socket, head) => {
        let text = head.toString();
        socket.on('data', (data: Buffer) => {
          text += data;
          if (text.includes('line\r\nline')) socket.write('\x01x');
        });
        socket.once('end', () => socket.end());
        socket.once('close', () => resolve(text));
        socket.write('line\n');
      });
    });
    expect(seen).not.toContain('x');
    expect(await stateOf('typed')).toMatchObject({ Running: true });
    expect((await actions({ container: ['typed'] })).slice(-2)).toEqual(['attach', 'detach']);
    await call('DELETE', '/containers/typed?force=1');
  });

  it('kills and removes what is paused, and nobody waits for who stops gracefully', async () => {
    const ignoring = ['sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done'];
    await make('frozen', ignoring);
    for (const end of ['kill', 'stop?t=0', 'restart?t=0'] as const) {
      await call('POST', '/containers/frozen/start');
      await call('POST', '/containers/frozen/pause');
      expect(await call('POST', `/containers/frozen/${end}`)).toEqual([204, '']);
    }
    const slow = call('POST', '/containers/frozen/stop?t=-1');
    await until(async () => (await actions({ container: ['frozen'] })).at(-1) === 'kill');
    expect(await call('POST', '/containers/frozen/pause')).toEqual([204, '']);
    expect(await call('DELETE', '/containers/frozen?force=1')).toEqual([204, '']);
    expect((await slow)[0]).toBe(204);
    expect((await call('GET', '/containers/frozen/json'))[0]).toBe(404);
  });

  it('keeps why a start failed, and the state of what ran before', async () => {
    await make('absent', ['/absent']);
    const [status, message] = await call('POST', '/containers/absent/start');
    expect([status, message]).toEqual([400, expect.stringContaining('no such file or directory')]);
    expect(await stateOf('absent')).toMatchObject({ Status: 'created', ExitCode: 127, Error: message });
    await make('tired', ['sh', '-c', 'rm /bin/sh']);
    await call('POST', '/containers/tired/start');
    await call('POST', '/containers/tired/wait');
    expect((await call('POST', '/containers/tired/start'))[0]).toBe(400);
    expect(await stateOf('tired')).toMatchObject({ Status: 'exited', ExitCode: 127, Running: false });
    await ok('rm', 'absent', 'tired');
  });

  describe('restart policies', () => {
    const policy = (Name: string, MaximumRetryCount = 0): object => ({
      HostConfig: { NetworkMode: 'none', RestartPolicy: { Name, MaximumRetryCount } },
    });

    it('start again as often as they say, later each time', async () => {
      const id = await make('twice', ['sh', '-c', 'exit 3'], policy('on-failure', 2));
      await call('POST', '/containers/twice/start');
      await until(async () => (await stateOf('twice')).Status === 'exited', 'it to give up');
      expect(await stateOf('twice')).toMatchObject({ RestartCount: 2, ExitCode: 3, Restarting: false });
      expect(await actions({ container: [id], event: ['start'] })).toHaveLength(3);
      await call('POST', '/containers/twice/start');
      await until(async () => (await stateOf('twice')).RestartCount === 2, 'its count to begin anew');
      await ok('rm', '-f', 'twice');
    });

    it('are over where a user stops, kills or removes during the delay', async () => {
      await make('again', ['sh', '-c', 'exit 1'], policy('always'));
      const waiting = () => until(async () => (await stateOf('again')).Status === 'restarting', 'the delay');
      for (const end of ['stop', 'kill']) {
        await call('POST', '/containers/again/start');
        await until(async () => Number((await stateOf('again')).RestartCount) >= 3, 'longer delays');
        await waiting();
        expect(await ok('ps', '--filter', 'name=again', '--format', '{{.Status}}')).toMatch(
          /^Restarting \(1\) .* ago$/,
        );
        expect((await call('POST', '/containers/again/exec', { Cmd: ['true'] }))[1]).toMatch(
          /is restarting, wait until|is not running/,
        );
        await waiting();
        expect(await call('POST', `/containers/again/${end}`)).toEqual([204, '']);
        expect((await stateOf('again')).Status).toBe('exited');
      }
      await call('POST', '/containers/again/start');
      await waiting();
      expect(await call('DELETE', '/containers/again?force=1')).toEqual([204, '']);
    });

    it('hold over the death of the engine: what died without it, and what was to be restarted', async () => {
      await make('orphan', ['sleep', '600'], policy('always'));
      await make('crashing', ['sh', '-c', 'exit 1'], policy('unless-stopped'));
      await make('stopped', ['sleep', '600'], policy('always'));
      for (const name of ['orphan', 'crashing', 'stopped']) await call('POST', `/containers/${name}/start`);
      await call('POST', '/containers/stopped/stop?t=0');
      const { Pid } = await stateOf('orphan');
      await until(async () => Number((await stateOf('crashing')).RestartCount) >= 2);
      process.kill(here.enginePid()!, 'SIGKILL');
      process.kill(Number(Pid), 'SIGKILL');
      await ok('ps');
      await until(async () => (await stateOf('orphan')).Status === 'running', 'its restart');
      expect((await stateOf('orphan')).Pid).not.toBe(Pid);
      const { RestartCount } = await stateOf('crashing');
      await until(async () => Number((await stateOf('crashing')).RestartCount) > Number(RestartCount), 'more restarts');
      expect((await stateOf('stopped')).Status).toBe('exited');
      await ok('update', '--restart', 'no', 'crashing');
      await until(async () => (await stateOf('crashing')).Status === 'exited', 'no more restarts');
      await ok('rm', '-f', 'orphan', 'crashing', 'stopped');
    });
  });
});
