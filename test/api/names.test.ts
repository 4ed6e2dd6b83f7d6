// Names of containers: whoever asks at once, one gets it; what is refused gives it back.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { engineCall } from '../helpers/engine-call.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

describe.skipIf(whyNoContainers())('a name', () => {
  const here = createInstallation();
  const { gantry, ok } = here;

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-qi', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
  });
  afterAll(() => here.close());

  it('goes to one of those who ask at once', async () => {
    const body = Buffer.from(JSON.stringify({ Image: 'box' }));
    const create = (name: string) => engineCall(here.dataRoot, 'POST', `/containers/create?name=${name}`, body);
    for (const name of ['first', 'second', 'third']) {
      const answers = await Promise.all([create(name), create(name)]);
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
      const [made, refused] = answers[0]!.status === 201 ? answers : answers.toReversed();
      const { Id: id } = JSON.parse(made!.body.toString()) as { Id: string };
      expect(refused!.body.toString()).toContain(`already in use by container \\"${id}\\"`);
    }
    const rename = engineCall(here.dataRoot, 'POST', '/containers/first/rename?name=fourth');
    expect((await Promise.all([create('fourth'), rename])).map(({ status }) => status)).toContain(409);
    expect((await gantry('rename', 'second', 'third')).stderr).toContain('Error when allocating new name: Conflict.');
    await ok('rename', 'second', 'fifth');
    await ok('create', '--name', 'second', 'box');
    // A creation that is refused gives its name back.
    for (const refused of [
      ['-v', '/absent/x:/y:nonsense'],
      ['--mount', 'type=bind,src=/absent/x,dst=/y'],
    ])
      expect((await gantry('create', '--name', 'sixth', ...refused, 'box')).status).toBe(1);
    await ok('create', '--name', 'sixth', 'box');
  });
});
