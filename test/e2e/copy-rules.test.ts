// cp's rules, case by case: what docker's own client and daemon did with the same trees is what is expected here.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxTree, makeArchive } from '../helpers/archives.ts';
import { createInstallation } from '../helpers/cli.ts';
import { whyNoContainers } from '../helpers/requirements.ts';

/** Both sides of a copy look the same: files to copy, a place to copy to, links in it. */
function fillSide(root: string, links: string): void {
  for (const path of ['src/sub', 'dst/dir', 'other']) mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, 'src/one'), 'one\n');
  writeFileSync(join(root, 'src/sub/two'), 'two\n');
  symlinkSync('one', join(root, 'src/link'));
  symlinkSync(`${links}/src`, join(root, 'srclink'));
  writeFileSync(join(root, 'dst/file'), 'old\n');
  symlinkSync(`${links}/other`, join(root, 'dst/dirlink'));
  symlinkSync(`${links}/other/new`, join(root, 'dst/dangling'));
  symlinkSync('file', join(root, 'dst/filelink'));
}

/** "path", "path -> target" or "path: content" of all that is below. */
function listing(root: string): string[] {
  return readdirSync(root, { withFileTypes: true, recursive: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const shown = path.slice(root.length + 1);
      if (entry.isSymbolicLink()) return `${shown} link`;
      return entry.isFile() ? `${shown}=${readFileSync(path, 'utf8').trim()}` : shown;
    })
    .sort();
}

const tree = (at: string): string[] => [`${at}`, `${at}/link link`, `${at}/one=one`, `${at}/sub`, `${at}/sub/two=two`];
const content = ['dst/link link', 'dst/one=one', 'dst/sub', 'dst/sub/two=two'];

/** Source, destination, what appears, or the words of the refusal. "<" is where it is copied from, ">" where to. */
const cases: [source: string, destination: string, appears: string[] | RegExp, flag?: string][] = [
  ['src/one', 'dst', ['dst/one=one']],
  ['src/one', 'dst/', ['dst/one=one']],
  ['src/one', 'dst/file', ['dst/file=one']],
  ['src/one', 'new', ['new=one']],
  ['src/one', 'new/', /no such directory/i],
  ['src/one', 'absent/new', /directory "\S+absent" does not exist|Could not find the file \/w\/\S+absent in container/],
  ['src/one', 'dst/dir', ['dst/dir/one=one']],
  ['src', 'dst', tree('dst/src')],
  ['src/', 'dst', tree('dst/src')],
  ['src/.', 'dst', content],
  ['src', 'new', tree('new')],
  ['src/.', 'new', tree('new')],
  ['src', 'dst/file', /cannot copy directory/i],
  ['src/link', 'dst', ['dst/link link']],
  ['src/link', 'dst', ['dst/link=one'], '-L'],
  ['srclink', 'dst', ['dst/srclink link']],
  ['srclink/', 'dst', tree('dst/srclink')],
  ['srclink/.', 'dst', content],
  ['srclink', 'dst', tree('dst/srclink'), '-L'],
  ['src/one', 'dst/dirlink', ['other/one=one']],
  ['src/one', 'dst/dangling', ['other/new=one']],
  ['src/one', 'dst/filelink', ['dst/file=one']],
  ['absent', 'dst', /Could not find the file|no such file or directory/],
  ['src/one/', 'dst', /not a directory/i],
];

describe.skipIf(whyNoContainers())('the rules of cp', () => {
  const here = createInstallation();
  const shared = mkdtempSync(join(tmpdir(), 'gantry-copy-'));
  const local = mkdtempSync(join(tmpdir(), 'gantry-copy-'));

  beforeAll(async () => {
    const root = busyboxTree();
    const archive = makeArchive(root, 'box:latest');
    await here.ok('load', '-i', archive);
    for (const path of [root, archive]) rmSync(path, { recursive: true });
    await here.ok('run', '-d', '--name', 'box', '-v', `${shared}:/w`, 'box', 'sleep', '600');
  });
  afterAll(async () => {
    await here.close();
    for (const path of [shared, local]) rmSync(path, { recursive: true });
  });

  for (const outwards of [true, false])
    describe(outwards ? 'from a container' : 'to a container', () => {
      it.concurrent.each(cases.map((entry, index) => [index, ...entry] as const))(
        '%i: %s → %s',
        async (index, source, destination, appears, flag) => {
          const name = `${outwards ? 'out' : 'in'}${index}`;
          const [inside, outside] = [join(shared, name), join(local, name)];
          fillSide(inside, `/w/${name}`);
          fillSide(outside, outside);
          const target = outwards ? outside : inside;
          const before = listing(target);
          const paths = outwards
            ? [`box:/w/${name}/${source}`, `${outside}/${destination}`]
            : [`${outside}/${source}`, `box:/w/${name}/${destination}`];
          const { status, stderr } = await here.gantry('cp', ...(flag ? [flag] : []), ...paths);
          const after = listing(target).filter((line) => !before.includes(line));
          if (appears instanceof RegExp) {
            expect(stderr).toMatch(appears);
            expect(status).toBe(1);
            expect(after).toEqual([]);
          } else {
            expect(stderr).toBe('');
            expect(after).toEqual(appears);
            expect(status).toBe(0);
          }
          expect(listing(outwards ? inside : outside)).toEqual(expect.arrayContaining(['src/one=one']));
        },
      );
    });

  it.each([
    [['', 'box:/x'], /source can not be empty/i],
    [['box:/x', ''], /destination can not be empty/i],
    [['box:/a', 'box:/b'], /copying between containers is not supported/i],
    [['/a', '/b'], /must specify at least one container source/i],
    [['nobody:/a', '.'], /No such container: nobody/],
    [['-', 'box:/etc/passwd'], /destination "box:\/etc\/passwd" must be a directory/i],
    [['box:/proc/cpuinfo', '.'], /it is made by the kernel/],
    [['box:/etc/passwd', '/dev/null'], /got a device/],
    [['/etc/passwd', 'box:/dev/null'], /got a device/],
  ] as [string[], RegExp][])('%j is refused', async (args, message) => {
    const { status, stderr } = await here.gantry('cp', ...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });

  it('takes "./a:b" for a local file', async () => {
    writeFileSync(join(local, 'a:b'), 'colon\n');
    await here.ok('cp', join(local, 'a:b'), 'box:/w/colon');
    expect(existsSync(join(shared, 'colon'))).toBe(true);
  });
});
