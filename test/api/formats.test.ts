// What --format and the tables print: the same as docker's own client prints of the same objects.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

/** Debian's 20.10 has other fields and tables: the newer client is what is compared with. */
const client = ['/usr/local/bin/docker', '/usr/bin/docker'].find((path) => {
  const said = existsSync(path) ? spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout : '';
  return Number(/version (\d+)/.exec(said)?.[1] ?? 0) >= 28;
});
if (client === undefined) console.log('Formats are not compared with docker: no docker client of version 28 or newer');

describe.skipIf(whyNoContainers() || client === undefined)('formats', () => {
  const here = createInstallation();
  const { gantry, ok } = here;
  const docker = (args: string[]): string => {
    const env = { ...here.env, DOCKER_HOST: `unix://${join(here.dataRoot, 'run/gantry.sock')}` };
    return spawnSync(client!, args, { encoding: 'utf8', env, timeout: 30_000 }).stdout;
  };

  beforeAll(async () => {
    const tree = busyboxTree();
    const archive = makeArchive(tree, 'box:latest');
    await ok('load', '-i', archive);
    for (const path of [tree, archive]) rmSync(path, { recursive: true });
    const flags = ['-p', '127.0.0.1:0:80', '-l', 'a=b', '-l', 'c=<d>', '-v', 'data:/data', '-m', '64m'];
    await ok('run', '-d', '--name', 'shown', ...flags, 'box', 'sh', '-c', 'sleep 600; echo a long command line');
    await ok('create', '--name', 'other', 'box');
    await ok('volume', 'create', '--label', 'x=y', 'labelled');
  });
  afterAll(() => here.close());

  it.each([
    ['ps', '--format', 'json'],
    ['ps', '-a', '--format', '{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Ports}}'],
    [
      'ps',
      '--format',
      '{{.CreatedAt}}|{{.Labels}}|{{.Mounts}}|{{.Networks}}|{{.LocalVolumes}}|{{.Platform}}|{{.Size}}',
    ],
    ['ps', '--format', '{{.Label "a"}} {{.Label "none"}}.'],
    ['ps', '-a', '--format', 'table {{.ID}}\t{{.Names}}\t{{upper .State}}'],
    ['ps', '--format', 'table {{.Names}} {{.Labels}}\t{{.LocalVolumes}}'],
    ['ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Command}}'],
    ['ps', '-aq'],
    ['images'],
    ['images', '--digests'],
    ['images', '--no-trunc'],
    ['images', '-q'],
    ['images', '--format', 'json'],
    [
      'images',
      '--format',
      '{{.Repository}}:{{.Tag}} {{.ID}} {{.CreatedAt}} {{.Size}} {{.VirtualSize}} {{.Containers}}',
    ],
    ['volume', 'ls'],
    ['volume', 'ls', '-q'],
    ['volume', 'ls', '--format', 'json'],
    ['volume', 'ls', '--format', '{{.Name}} {{.Driver}} {{.Label "x"}} {{.Mountpoint}} {{.Scope}} {{.Links}}'],
    ['volume', 'inspect', 'labelled'],
    ['inspect', 'shown'],
    ['inspect', 'box'],
    ['inspect', '-f', '{{.State.Status}} {{.NetworkSettings.IPAddress}} {{.HostConfig.Memory}}', 'shown'],
    ['inspect', '-f', '{{range .Mounts}}{{.Name}} {{.Destination}} {{end}}', 'shown'],
    ['inspect', '-f', '{{range $name, $value := .Config.Labels}}{{$name}}={{$value}};{{end}}', 'shown'],
    ['inspect', '-f', '{{json .State}} {{json .Config.Labels}}', 'shown'],
    [
      'inspect',
      '-f',
      '{{index .Config.Labels "a"}} {{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}',
      'shown',
    ],
    ['inspect', '-f', '{{len .Mounts}} {{printf "%q %05d %-8s|" .Name 42 "left"}}', 'shown'],
    ['inspect', '-f', '{{if eq .State.Running true}}yes{{else}}no{{end}} {{join .Config.Cmd ","}}', 'shown'],
    ['inspect', '-f', '{{with .Config.Cmd}}{{index . 0}}{{end}} {{upper .Name}} {{not .State.Paused}}', 'shown'],
    ['port', 'shown'],
    ['top', 'shown'],
    ['version', '--format', '{{.Server.Version}} {{.Server.APIVersion}} {{.Server.Os}}/{{.Server.Arch}}'],
    ['info', '--format', '{{.ServerVersion}} {{.NCPU}} {{.MemTotal}} {{.Driver}} {{.CgroupVersion}} {{.Name}}'],
    ['stats', '--no-stream', '--format', '{{.Name}} {{.Container}} {{.PIDs}}'],
    ['stats', '--no-stream', '--no-trunc', '-a', '--format', '{{.ID}}'],
  ])('%s %s %s %s', async (...args) => {
    const [ours, theirs] = [await gantry(...args), docker(args)];
    expect(theirs).not.toBe('');
    expect(ours.stdout).toBe(theirs);
    expect(ours.status).toBe(0);
  });

  it.each([
    [['ps', '--format', '{{.Nope}}'], 'no field Nope'],
    [['images', '--format', '{{.ID'], 'unclosed action'],
    [['inspect', '-f', '{{.Nope}}', 'shown'], 'no field Nope'],
    [['ps', '--format', '{{nope .ID}}'], 'function "nope" not defined'],
    [['ps', '--format', '{{if .ID}}'], 'without {{end}}'],
  ] as [string[], string][])('%j is refused', async (args, message) => {
    const { status, stderr } = await gantry(...args);
    expect(stderr).toContain(message);
    expect(status).toBe(1);
  });
});
