// `image verify`: every byte of an image is read again; what was changed is named, and mended by bringing the image again.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createInstallation } from '../helpers/cli.ts';
import { layerMounts } from '../helpers/layer-mounts.ts';
import { startRegistry, whyNoRegistry } from '../helpers/registry.ts';
import { whyNoContainers } from '../helpers/requirements.ts';
import { dockerArchive, imageConfig, makeTar, sha256 } from '../helpers/tar.ts';

describe.skipIf(whyNoContainers())('image verify', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const work = mkdtempSync(join(tmpdir(), 'gantry-verify-'));
  const shared = makeTar([
    { name: 'etc/', type: '5', mode: 0o755 },
    { name: 'etc/words', content: 'word\n'.repeat(9000) },
  ]);
  const own = makeTar([
    { name: 'etc/own', content: 'own\n'.repeat(2000) },
    { name: 'link', type: '2', link: 'etc/own' },
  ]);
  const archives: Record<string, Buffer[]> = { 'one:1': [shared], 'two:1': [shared, own] };
  const blob = (digest: string): string => join(here.dataRoot, 'blobs/sha256', digest.slice('sha256:'.length));
  const home = (digest: string): string => join(here.dataRoot, 'layers', digest.slice('sha256:'.length));

  const loadAll = async (): Promise<void> => {
    for (const [tag, layers] of Object.entries(archives)) {
      writeFileSync(join(work, 'image.tar'), dockerArchive(layers, { tag }));
      await ok('load', '-i', join(work, 'image.tar'));
    }
  };
  /** Exchanges the first of these bytes for others. */
  const overwrite = (path: string, text: string, other: string): void => {
    const at = readFileSync(path).indexOf(text);
    expect(at).toBeGreaterThan(-1);
    const fd = openSync(path, 'r+');
    writeSync(fd, other, at);
    closeSync(fd);
  };
  const flaws = async (...args: string[]): Promise<{ status: number; lines: string[] }> => {
    const { status, stdout } = await gantry('image', 'verify', ...args);
    return { status, lines: stdout.trimEnd().split('\n') };
  };

  beforeAll(loadAll);
  beforeEach(async () => {
    expect((await flaws()).status).toBe(0);
  });
  afterAll(async () => {
    await here.close();
    rmSync(work, { recursive: true });
  });

  it('reads what is whole, and what several images have only once', async () => {
    const { lines } = await flaws('one:1', 'two:1');
    expect(lines[0]).toMatch(/^✓ one:1: 1 layer, 4\d\.\dkB read$/);
    expect(lines[1]).toMatch(/^✓ two:1: 2 layers, 1\d\.\dkB read$/);
    expect(await flaws('-q')).toEqual({ status: 0, lines: [''] });
    const { status, stderr } = await gantry('image', 'verify', 'absent');
    expect([status, stderr]).toEqual([1, expect.stringContaining('No such image: absent')]);
  });

  it('finds a changed byte in a layer, in use or not, and a load brings the layer again', async () => {
    await ok('create', '--name', 'user', '--network', 'none', 'two:1', '/x');
    overwrite(join(home(sha256(own)), 'layer.erofs'), 'own\nown', 'OWN');
    const { status, lines } = await flaws('two:1');
    expect(status).toBe(1);
    expect(lines).toEqual([
      '✗ two:1: damaged',
      `  layer ${sha256(own)}: its files are not those of its blob`,
      '  Hint: Bring it again: "gantry pull two:1" or "gantry load -i FILE"',
    ]);
    await loadAll();
    await ok('rm', 'user');
  });

  it('finds a blob that was changed, shortened or lost', async () => {
    overwrite(blob(sha256(own)), 'own\nown', 'OWN');
    expect((await flaws('two:1')).lines[1]).toMatch(`  blob ${sha256(own)}: its content has the digest sha256:`);
    renameSync(blob(sha256(shared)), join(work, 'lost'));
    const { status, lines } = await flaws();
    expect(status).toBe(1);
    expect(lines.filter((line) => line.includes(`blob ${sha256(shared)}: it is missing`))).toHaveLength(2);
    await loadAll();
  });

  it.skipIf(whyNoRegistry())('has a pull bring what is damaged, and nothing else', async () => {
    const registry = await startRegistry();
    try {
      const pulled = makeTar([{ name: 'etc/pulled', content: 'pulled\n'.repeat(2000) }]);
      writeFileSync(join(work, 'pulled.tar'), dockerArchive([shared, pulled], { tag: 'two:1' }));
      const name = registry.push(join(work, 'pulled.tar'), 'team/two:1');
      await ok('pull', name);
      const manifest = await fetch(`http://${registry.host}/v2/team/two/manifests/1`, {
        headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
      });
      const { layers } = (await manifest.json()) as { layers: { digest: string }[] };
      const packed = blob(layers[1]!.digest);
      truncateSync(packed, 100);
      expect((await flaws(name)).lines[1]).toMatch(`  blob ${layers[1]!.digest}: its content has the digest sha256:`);
      expect(await ok('pull', name)).toContain(`${layers[1]!.digest.slice(7, 19)}: Download complete`);
      expect((await flaws(name)).status).toBe(0);
      await ok('rmi', name);
    } finally {
      await registry.close();
    }
  });

  it('finds a layer that is lost, whose image is listed and removed all the same', async () => {
    for (const { place } of layerMounts(here.dataRoot)) execFileSync('umount', [place]);
    rmSync(home(sha256(own)), { recursive: true });
    writeFileSync(join(home(sha256(shared)), 'layer.json'), '{');
    expect(await ok('images', '--format', '{{.Repository}}')).toMatch(/^(one\ntwo|two\none)$/);
    const { status, lines } = await flaws('one:1', 'two:1');
    expect(status).toBe(1);
    for (const layer of [shared, own])
      expect(lines.some((line) => line.includes(`layer ${sha256(layer)}: Cannot use the layer`))).toBe(true);
    await ok('rmi', 'one:1');
    await loadAll();
  });

  it('finds a configuration that is another', async () => {
    const id = sha256(imageConfig([shared]));
    overwrite(blob(id), '"linux"', '"lunix"');
    expect((await flaws('one:1')).lines[1]).toMatch(`  configuration ${id}: its content has the digest`);
    await loadAll();
  });

  it('finds changes in a directory, whose image has to go first', async () => {
    const other = createInstallation();
    other.env.GANTRY_LAYERS = 'directories';
    try {
      await other.ok('load', '-i', join(work, 'image.tar'));
      expect(await other.ok('image', 'verify', 'two:1')).toMatch(/^✓/);
      const tree = join(other.dataRoot, 'layers', sha256(own).slice(7), 'tree');
      execFileSync('touch', ['-d', '2001-01-01', join(tree, 'etc/own')]);
      const { status, stdout } = await other.gantry('image', 'verify', 'two:1');
      expect([status, stdout]).toEqual([1, expect.stringContaining('its files are not those of its blob')]);
      expect(stdout).toContain('Hint: Its containers have to go first; then "gantry rmi two:1"');
      await other.ok('rmi', 'two:1');
      await other.ok('load', '-i', join(work, 'image.tar'));
      expect(await other.ok('image', 'verify', 'two:1')).toMatch(/^✓/);
    } finally {
      await other.close();
    }
  });
});
