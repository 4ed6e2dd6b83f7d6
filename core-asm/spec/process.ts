// The OCI `process` object: arguments, environment, user, capabilities, limits.
import { Json } from '../json';
import { refuse, warn } from '../status';
import { capabilityMask, capabilityNames, resolveCapabilities } from './capabilities';
import { apparmorProfile } from './security';

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Builds `process` from the container's configuration, the resolved user and the host's facts. */
export function specifyProcess(request: Json): Json {
  const container = request.child('container');
  const host = container.child('host');
  const user = request.child('user');
  const process = Json.object();
  process.set('terminal', Json.bool(container.flag('tty')));
  const size = host.list('consoleSize');
  if (container.flag('tty') && size.length == 2)
    process.set('consoleSize', Json.object().set('height', size[0]).set('width', size[1]));
  process.set('user', specifyUser(user));
  process.set('args', Json.strings(argumentsOf(container)));
  const hostname = container.str('hostname', request.str('id').substring(0, 12));
  process.set('env', Json.strings(environment(container.strings('env'), container.flag('tty'), hostname, user)));
  const cwd = container.str('workingDir');
  if (cwd.length > 0 && !cwd.startsWith('/')) refuse('WORKDIR_NOT_ABSOLUTE', 'workingDir', cwd);
  process.set('cwd', Json.of(cwd.length > 0 ? cwd : '/'));
  const available = capabilityMask(request.child('facts').strings('capabilities'), 'facts.capabilities');
  process.set('capabilities', specifyCapabilities(resolveCapabilities(host, available), user.int('uid') == 0));
  process.set('rlimits', specifyRlimits(host, request.child('facts')));
  process.set('noNewPrivileges', Json.bool(noNewPrivileges(host.strings('securityOpt'))));
  const profile = apparmorProfile(host, request.child('facts').strings('features'), host.flag('privileged'));
  if (profile != '') process.set('apparmorProfile', Json.of(profile));
  process.set('oomScoreAdj', Json.int(clampOomScore(host.int('oomScoreAdj'), request.child('facts'))));
  return process;
}

function specifyUser(user: Json): Json {
  const result = Json.object()
    .set('uid', Json.int(user.int('uid')))
    .set('gid', Json.int(user.int('gid')));
  const groups = Json.array();
  const given = user.list('additionalGids');
  for (let i = 0; i < given.length; i++) groups.push(Json.int(given[i].integer));
  return result.set('additionalGids', groups);
}

function argumentsOf(container: Json): string[] {
  const args = container.strings('entrypoint').concat(container.strings('command'));
  if (args.length == 0) refuse('NO_COMMAND', 'command');
  if (!container.child('host').flag('init')) return args;
  return ['/sbin/docker-init', '--'].concat(args);
}

function defines(env: string[], name: string): bool {
  for (let i = 0; i < env.length; i++) if (env[i].startsWith(name + '=')) return true;
  return false;
}

/** Docker's defaults (PATH, HOSTNAME, TERM, HOME) where the configuration does not set them. */
export function environment(env: string[], tty: bool, hostname: string, user: Json): string[] {
  const result: string[] = [];
  if (!defines(env, 'PATH')) result.push(DEFAULT_PATH);
  if (hostname.length > 0 && !defines(env, 'HOSTNAME')) result.push('HOSTNAME=' + hostname);
  if (tty && !defines(env, 'TERM')) result.push('TERM=xterm');
  for (let i = 0; i < env.length; i++) {
    // A later assignment replaces an earlier one in its place.
    const name = env[i].split('=')[0];
    let at = -1;
    for (let j = 0; j < result.length; j++) if (result[j].startsWith(name + '=')) at = j;
    if (at >= 0) result[at] = env[i];
    else result.push(env[i]);
  }
  if (!defines(result, 'HOME')) result.push('HOME=' + user.str('home', '/'));
  return result;
}

/** Five sets: a user other than root starts with none effective, as docker does. */
export function specifyCapabilities(bounding: u64, root: bool): Json {
  const names = Json.strings(capabilityNames(bounding));
  const result = Json.object().set('bounding', names);
  if (root) result.set('effective', names).set('permitted', names);
  return result;
}

export function noNewPrivileges(options: string[]): bool {
  let found = false;
  for (let i = 0; i < options.length; i++) {
    const option = options[i];
    if (option == 'no-new-privileges' || option == 'no-new-privileges=true' || option == 'no-new-privileges:true')
      found = true;
    else if (option == 'no-new-privileges=false' || option == 'no-new-privileges:false') found = false;
  }
  return found;
}

/** Without CAP_SYS_RESOURCE the kernel refuses a value below the current one (proc(5)). */
export function clampOomScore(wanted: i64, facts: Json): i64 {
  if (wanted < -1000 || wanted > 1000) refuse('OOM_SCORE_RANGE', 'oomScoreAdj', wanted.toString());
  const floor = facts.int('oomScoreAdj');
  if (wanted >= floor || wanted == 0 || facts.strings('capabilities').includes('CAP_SYS_RESOURCE')) return wanted;
  warn('OOM_SCORE_CLAMPED', 'oomScoreAdj', wanted.toString(), floor.toString());
  return floor;
}

const RLIMITS: StaticArray<string> = [
  'cpu',
  'fsize',
  'data',
  'stack',
  'core',
  'rss',
  'nproc',
  'nofile',
  'memlock',
  'as',
  'locks',
  'sigpending',
  'msgqueue',
  'nice',
  'rtprio',
  'rttime',
];

/** Resource number of getrlimit(2) for a name without RLIMIT_; -1 where there is none. */
export function rlimitNumber(name: string): i32 {
  for (let i = 0; i < RLIMITS.length; i++) if (RLIMITS[i] == name) return i;
  return -1;
}

/** Without CAP_SYS_RESOURCE no hard limit can be raised (setrlimit(2)): it stays where the host has it, with a warning. */
export function specifyRlimits(host: Json, facts: Json): Json {
  const result = Json.array();
  const mayRaise = facts.strings('capabilities').includes('CAP_SYS_RESOURCE');
  const ulimits = host.list('ulimits');
  for (let i = 0; i < ulimits.length; i++) {
    const name = ulimits[i].str('name');
    let soft = ulimits[i].int('soft');
    let hard = ulimits[i].int('hard');
    if (rlimitNumber(name) < 0) refuse('UNKNOWN_ULIMIT', 'ulimits', name);
    if (hard != -1 && (soft == -1 || soft > hard)) refuse('ULIMIT_SOFT_ABOVE_HARD', 'ulimits', name, hard.toString());
    const most = facts.child('hardLimits').int(name, -1);
    if (!mayRaise && most >= 0 && (hard == -1 || hard > most)) {
      warn('ULIMIT_CLAMPED', name, hard.toString(), most.toString());
      hard = most;
      if (soft == -1 || soft > most) soft = most;
    }
    result.push(
      Json.object()
        .set('type', Json.of('RLIMIT_' + name.toUpperCase()))
        .set('soft', Json.int(soft))
        .set('hard', Json.int(hard)),
    );
  }
  return result;
}
