// exec's process: the file of --process, or the container's own process with what the command line says otherwise.
import type { OciProcess, OciSpec } from '../core/bundle-plans.ts';
import { GantryError } from '../errors.ts';
import { parsed, type Question } from './messages.ts';

export function execProcess(words: Question['words'], spec: OciSpec): OciProcess {
  const one = (key: string): string | undefined => words.get(key)?.at(-1);
  const given = one('process');
  if (given !== undefined) return parsed(given, 'the process') as OciProcess;
  const args = words.get('arg') ?? [];
  if (args.length === 0)
    throw new GantryError('INVALID_ARGUMENT', 'Cannot run a process in the container: no command specified', {
      hint: 'Give a command behind the ID, or a file with --process',
    });
  const own = spec.process ?? {};
  const { consoleSize: _consoleSize, ...rest } = own;
  return {
    ...rest,
    args,
    terminal: words.has('tty'),
    env: [...(own.env ?? []), ...(words.get('env') ?? [])],
    cwd: one('cwd') ?? own.cwd ?? '/',
    user: userOf(words, own),
    ...capabilities(words.get('cap') ?? [], own),
    ...(words.has('no-new-privs') ? { noNewPrivileges: true } : {}),
    ...(one('apparmor') === undefined ? {} : { apparmorProfile: one('apparmor') }),
  };
}

function userOf(words: Question['words'], own: OciProcess): NonNullable<OciProcess['user']> {
  const text = words.get('user')?.at(-1);
  const groups = (words.get('additional-gids') ?? []).map((group) => number(group, 'additional-gids'));
  const base = { ...own.user, additionalGids: [...(own.user?.additionalGids ?? []), ...groups] };
  if (text === undefined) return base;
  const [uid = '', gid] = text.split(':');
  return { ...base, uid: number(uid, 'user'), ...(gid === undefined ? {} : { gid: number(gid, 'user') }) };
}

function number(text: string, field: string): number {
  if (!/^\d+$/.test(text))
    throw new GantryError('INVALID_ARGUMENT', `Cannot read ${field} "${text}": numbers only`, { hint: 'UID[:GID]' });
  return Number(text);
}

function capabilities(added: string[], own: OciProcess): Pick<OciProcess, 'capabilities'> {
  if (added.length === 0) return {};
  const sets = own.capabilities ?? {};
  const more = (name: string): string[] => [...new Set([...(sets[name] ?? []), ...added])];
  return {
    capabilities: { ...sets, bounding: more('bounding'), effective: more('effective'), permitted: more('permitted') },
  };
}
