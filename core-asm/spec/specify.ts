// Container configuration + host facts → OCI runtime spec (runtime-spec 1.2, config.md). Read this file first.
import { defaultDevices, deviceRules } from '../devices/rules';
import { Json } from '../json';
import { resolveResources } from '../resources/resolve';
import { specifyMounts } from './mounts';
import { specifyNamespaces, specifyTimeOffsets } from './namespaces';
import { specifyProcess } from './process';
import { checkSecurityOptions, specifyPaths, specifySysctls } from './security';
import { UserNamespace } from './user-namespace';

/** Builds the whole spec, without seccomp: that is compiled apart, once a profile. */
export function specify(request: Json): Json {
  const container = request.child('container');
  const host = container.child('host');
  const facts = request.child('facts');
  const id = request.str('id');
  const spec = Json.object().set('ociVersion', Json.of('1.2.0'));
  spec.set('process', specifyProcess(request));
  spec.set(
    'root',
    Json.object()
      .set('path', Json.of('rootfs'))
      .set('readonly', Json.bool(host.flag('readonlyRootfs'))),
  );
  if (host.str('utsMode') != 'host' && !host.str('utsMode').startsWith('container:')) {
    spec.set('hostname', Json.of(container.str('hostname', id.substring(0, 12))));
    if (container.str('domainname') != '') spec.set('domainname', Json.of(container.str('domainname')));
  }
  const user = new UserNamespace(request);
  spec.set('mounts', specifyMounts(request, user));
  const linux = Json.object().set('namespaces', specifyNamespaces(request));
  const offsets = specifyTimeOffsets(host.str('timeOffset'));
  if (offsets.keys.length > 0) linux.set('timeOffsets', offsets);
  if (user.active) linux.set('uidMappings', user.uids.mappings()).set('gidMappings', user.gids.mappings());
  linux.set('sysctl', specifySysctls(request, user));
  linux.set('cgroupsPath', Json.of('/' + cgroupParent(host) + '/' + id));
  const resources = resolveResources(host.child('resources'), facts);
  resources.set('devices', deviceRules(host, facts));
  linux.set('resources', resources);
  linux.set('devices', defaultDevices(host, facts));
  specifyPaths(linux, host, checkSecurityOptions(host, facts.strings('features')));
  if (container.child('annotations').keys.length > 0) spec.set('annotations', container.child('annotations'));
  return spec.set('linux', linux);
}

/** Directory below each hierarchy's root that holds the containers' cgroups. */
export function cgroupParent(host: Json): string {
  let parent = host.str('cgroupParent');
  while (parent.startsWith('/')) parent = parent.substring(1);
  while (parent.endsWith('/')) parent = parent.substring(0, parent.length - 1);
  return parent.length > 0 ? parent : 'gantry';
}
