// /containers/:id/archive: a container's files as tar, out and in.
import type { PathStat } from '../../engine/copies.ts';
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import { type Call, flag, type Route, sendNothing } from '../http.ts';
import { sendTar } from '../stream.ts';

/** inode(7) → the bits of Go's io/fs.FileMode. */
const formats = new Map([
  [0o040000, 2 ** 31],
  [0o120000, 2 ** 27],
  [0o060000, 2 ** 26],
  [0o020000, 2 ** 26 + 2 ** 21],
  [0o010000, 2 ** 25],
  [0o140000, 2 ** 24],
]);
const extras: [number, number][] = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
];

function goMode(mode: number): number {
  const bits = extras.filter(([bit]) => (mode & bit) !== 0).reduce((sum, [, value]) => sum + value, 0);
  return (formats.get(mode & 0o170000) ?? 0) + bits + (mode & 0o777);
}

/** Value of X-Docker-Container-Path-Stat. */
function statHeader({ name, size, mode, modifiedSeconds, modifiedNanoseconds, linkTarget }: PathStat): string {
  const second = new Date(modifiedSeconds * 1000).toISOString().slice(0, 19);
  const fraction =
    modifiedNanoseconds === 0 ? '' : `.${String(modifiedNanoseconds).padStart(9, '0').replace(/0+$/, '')}`;
  const value = { name, size, mode: goMode(mode), mtime: `${second}${fraction}Z`, linkTarget };
  return Buffer.from(JSON.stringify(value)).toString('base64');
}

function pathOf({ query }: Call): string {
  const path = query.get('path') ?? '';
  if (path === '') throw new GantryError('INVALID_ARGUMENT', "Bad parameter: 'path' cannot be empty");
  if (path.includes('\0')) throw new GantryError('INVALID_ARGUMENT', 'Bad parameter: the path has a NUL in it');
  return path;
}

export function archiveRoutes({ announce, copies, find }: Engine): Route[] {
  const path = '/containers/:id/archive';
  return [
    {
      method: 'HEAD',
      path,
      async handler(call) {
        const stat = await copies.stat(find(call.params.id!), pathOf(call));
        call.response.setHeader('X-Docker-Container-Path-Stat', statHeader(stat));
        sendNothing(call, 200);
      },
    },
    {
      method: 'GET',
      path,
      async handler(call) {
        const container = find(call.params.id!);
        const { stat, tar, cancel } = await copies.read(container, pathOf(call));
        announce(container, 'archive-path');
        call.response.writeHead(200, {
          'content-type': 'application/x-tar',
          'X-Docker-Container-Path-Stat': statHeader(stat),
        });
        await sendTar(call, tar, cancel);
      },
    },
    {
      method: 'PUT',
      path,
      async handler(call) {
        const container = find(call.params.id!);
        await copies.write(container, pathOf(call), call.request, {
          keepKinds: flag(call, 'noOverwriteDirNonDir'),
          ownedByUser: flag(call, 'copyUIDGID'),
        });
        announce(container, 'extract-to-dir');
        sendNothing(call, 200);
      },
    },
  ];
}
