// "--user" and the image's USER → numbers, from the container's own /etc/passwd and /etc/group.
import { GantryError } from '../errors.ts';
import { readLayeredFile } from '../image/layered-files.ts';

export interface ResolvedUser {
  uid: number;
  gid: number;
  additionalGids: number[];
  home: string;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

export interface Accounts {
  passwd: PasswdEntry[];
  groups: GroupEntry[];
}

/** What /etc/passwd and /etc/group of a root say. @param layers its directories, uppermost first. */
export function readAccounts(layers: string[]): Accounts {
  return {
    passwd: parsePasswd(readLayeredFile(layers, '/etc/passwd')),
    groups: parseGroup(readLayeredFile(layers, '/etc/group')),
  };
}

const ofImages = new Map<string, Accounts>();

/** The same for an image: its layers never change, so they are read once. */
export function imageAccounts(imageId: string, layers: string[]): Accounts {
  const known = ofImages.get(imageId) ?? readAccounts(layers);
  ofImages.set(imageId, known);
  return known;
}

const ID_MAX = 2 ** 32 - 2;

/**
 * @param user "", "name", "uid", "name:group", "uid:gid".
 * @param groupAdd names or numbers of further groups.
 * @throws {GantryError} INVALID_ARGUMENT where a name is not in the image.
 */
export function resolveUser(user: string, groupAdd: string[], { passwd, groups }: Accounts): ResolvedUser {
  const colon = user.indexOf(':');
  const name = colon < 0 ? user : user.slice(0, colon);
  const group = colon < 0 ? '' : user.slice(colon + 1);
  const entry = findUser(name, passwd);
  const gid = group === '' ? (entry?.gid ?? 0) : findGroup(group, groups);
  const uid = entry?.uid ?? numeric(name === '' ? '0' : name);
  if (uid === undefined)
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot run as "${name}": unable to find user ${name}: no matching entries in passwd file`,
      {
        hint: 'Give a number, or a user that the /etc/passwd of the image has',
      },
    );
  const own =
    entry === undefined || group !== ''
      ? []
      : groups.filter(({ members }) => members.includes(entry.name)).map((found) => found.gid);
  const added = groupAdd.map((wanted) => findGroup(wanted, groups));
  // Its own too, as docker has it: a process that changes its group must not lose what the first one is denied.
  return { uid, gid, additionalGids: [...new Set([gid, ...own, ...added])], home: entry?.home || '/' };
}

function findUser(name: string, passwd: PasswdEntry[]): PasswdEntry | undefined {
  const id = numeric(name === '' ? '0' : name);
  return passwd.find((entry) => entry.name === name) ?? passwd.find((entry) => entry.uid === id);
}

function findGroup(name: string, groups: GroupEntry[]): number {
  const gid = groups.find((entry) => entry.name === name)?.gid ?? numeric(name);
  if (gid !== undefined) return gid;
  throw new GantryError(
    'INVALID_ARGUMENT',
    `Cannot join the group "${name}": unable to find group ${name}: no matching entries in group file`,
    {
      hint: 'Give a number, or a group that the /etc/group of the image has',
    },
  );
}

function numeric(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  if (value > ID_MAX) throw new GantryError('INVALID_ARGUMENT', `Cannot use the ID ${text}: the largest is ${ID_MAX}`);
  return value;
}

function fields(bytes: Buffer | undefined): string[][] {
  return (bytes?.toString('utf8') ?? '')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

/** passwd(5). Malformed lines are passed over. */
function parsePasswd(bytes: Buffer | undefined): PasswdEntry[] {
  return fields(bytes).flatMap(([name = '', , uid, gid, , home = '']) => {
    const numbers = [numeric(uid), numeric(gid)];
    return numbers[0] === undefined || numbers[1] === undefined
      ? []
      : [{ name, uid: numbers[0], gid: numbers[1], home }];
  });
}

/** group(5). */
function parseGroup(bytes: Buffer | undefined): GroupEntry[] {
  return fields(bytes).flatMap(([name = '', , id, members = '']) => {
    const gid = numeric(id);
    return gid === undefined ? [] : [{ name, gid, members: members.split(',').filter(Boolean) }];
  });
}
