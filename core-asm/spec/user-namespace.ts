// User namespaces: --userns, --uidmap and --gidmap → checked maps (user_namespaces(7)), and what an id in there is on the host.
import { Json } from '../json';
import { refuse } from '../status';

/** Most extents of a map, and most bytes of its text: one write below a page (user_namespaces(7)). */
const EXTENTS_MAX = 340;
const TEXT_MAX = 4095;
/** 4294967295 is no id: it means "unchanged". */
const ID_END: i64 = 4294967295;

class Extent {
  constructor(
    public container: i64,
    public host: i64,
    public size: i64,
  ) {}
}

export class IdMap {
  extents: Extent[] = [];

  /** The host's id, or -1 where the container's has none. */
  hostId(id: i64): i64 {
    for (let i = 0; i < this.extents.length; i++) {
      const extent = this.extents[i];
      if (id >= extent.container && id < extent.container + extent.size) return extent.host + id - extent.container;
    }
    return -1;
  }

  /** Highest id up to which all ids from 0 lie in one extent. */
  contiguousEnd(): i64 {
    for (let i = 0; i < this.extents.length; i++) if (this.extents[i].container == 0) return this.extents[i].size - 1;
    return 0;
  }

  /** As /proc/PID/uid_map takes it. */
  text(): string {
    let text = '';
    for (let i = 0; i < this.extents.length; i++) {
      const extent = this.extents[i];
      text += extent.container.toString() + ' ' + extent.host.toString() + ' ' + extent.size.toString() + '\n';
    }
    return text;
  }

  /** OCI linux.uidMappings, linux.gidMappings. */
  mappings(): Json {
    const list = Json.array();
    for (let i = 0; i < this.extents.length; i++)
      list.push(
        Json.object()
          .set('containerID', Json.int(this.extents[i].container))
          .set('hostID', Json.int(this.extents[i].host))
          .set('size', Json.int(this.extents[i].size)),
      );
    return list;
  }
}

/** The user namespace that a container asks for. */
export class UserNamespace {
  uids: IdMap = new IdMap();
  gids: IdMap = new IdMap();
  /** It has one: new, or shared with another container. */
  active: bool = false;
  /** It is another container's. */
  shared: bool = false;

  constructor(request: Json) {
    const host = request.child('container').child('host');
    const mode = host.str('userMode');
    const maps = host.strings('uidMaps').length + host.strings('gidMaps').length;
    checkMode(mode);
    if (mode == 'host' && maps > 0) refuse('USER_HOST_WITH_MAPS', 'userMode', mode);
    this.active = mode != 'host' && (mode != '' || maps > 0);
    this.shared = mode.startsWith('container:');
    if (this.active) this.readMaps(host.strings('uidMaps'), host.strings('gidMaps'), request);
    // Whoever mounts proc must be in the PID namespace and have rights over it.
    const joined = request.child('joinPids');
    if (this.active && joined.int('pid') > 0 && joined.int('pid') != joined.int('user'))
      refuse('USER_OTHER_PID', 'pidMode', host.str('pidMode'));
  }

  /** One list stands for both where the other is not given, as with podman. */
  private readMaps(uids: string[], gids: string[], request: Json): void {
    this.uids = parseMaps(uids.length > 0 ? uids : gids, 'uidMaps');
    this.gids = parseMaps(gids.length > 0 ? gids : uids, 'gidMaps');
    if (this.uids.hostId(0) < 0 || this.gids.hostId(0) < 0) refuse('USER_NO_ROOT', 'uidMaps');
    checkKernel(request.child('facts').strings('features'));
    checkProcess(this, request.child('user'));
  }
}

function checkMode(mode: string): void {
  if (mode == '' || mode == 'host' || mode == 'private' || mode == 'auto' || mode.startsWith('auto:')) return;
  if (mode.startsWith('container:') && mode.length > 10) return;
  if (mode == 'keep-id' || mode.startsWith('keep-id:') || mode == 'nomap')
    refuse('USER_ROOTLESS_MODE', 'userMode', mode);
  else refuse('USER_MODE', 'userMode', mode);
}

function checkKernel(features: string[]): void {
  if (!features.includes('user_namespace')) refuse('NO_USER_NAMESPACE', 'userMode');
  if (!features.includes('idmapped_layers')) refuse('NO_IDMAPPED_LAYERS', 'userMode');
}

/** The kernel refuses an id without a map with EINVAL: told before anything runs. */
function checkProcess(namespace: UserNamespace, user: Json): void {
  if (namespace.uids.hostId(user.int('uid')) < 0) refuse('USER_NOT_MAPPED', 'user', user.int('uid').toString());
  if (namespace.gids.hostId(user.int('gid')) < 0) refuse('USER_NOT_MAPPED', 'group', user.int('gid').toString());
  const groups = user.list('additionalGids');
  for (let i = 0; i < groups.length; i++)
    if (namespace.gids.hostId(groups[i].integer) < 0) refuse('USER_NOT_MAPPED', 'group', groups[i].integer.toString());
}

function parseMaps(texts: string[], field: string): IdMap {
  const map = new IdMap();
  if (texts.length == 0) refuse('USER_NO_MAPS', field);
  if (texts.length > EXTENTS_MAX) refuse('ID_MAP_COUNT', field, texts.length.toString(), EXTENTS_MAX.toString());
  for (let i = 0; i < texts.length; i++) {
    const extent = parseExtent(texts[i], field);
    for (let j = 0; j < map.extents.length; j++) {
      const other = map.extents[j];
      if (
        overlap(extent.container, other.container, extent.size, other.size) ||
        overlap(extent.host, other.host, extent.size, other.size)
      )
        refuse('ID_MAP_OVERLAP', field, texts[i], texts[j]);
    }
    map.extents.push(extent);
  }
  if (map.text().length > TEXT_MAX) refuse('ID_MAP_LONG', field, texts.length.toString(), TEXT_MAX.toString());
  return map;
}

function overlap(a: i64, b: i64, sizeOfA: i64, sizeOfB: i64): bool {
  return a < b + sizeOfB && b < a + sizeOfA;
}

/** "CONTAINER:HOST:SIZE"; the size is 1 where it is left out, as with podman. */
function parseExtent(text: string, field: string): Extent {
  const parts = text.split(':');
  const container = parts.length > 1 ? number(parts[0]) : -1;
  const host = parts.length > 1 ? number(parts[1]) : -1;
  const size = parts.length == 2 ? 1 : parts.length == 3 ? number(parts[2]) : -1;
  if (container < 0 || host < 0 || size < 0) refuse('ID_MAP_SYNTAX', field, text);
  else if (size == 0 || container + size > ID_END || host + size > ID_END) refuse('ID_MAP_RANGE', field, text);
  return new Extent(container, host, size);
}

function number(text: string): i64 {
  if (text.length == 0 || text.length > 10) return -1;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) return -1;
  return I64.parseInt(text);
}
