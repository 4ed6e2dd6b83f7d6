// A Service → a name of its pods in their network, and published ports (NodePort, LoadBalancer).
import type { ContainerPort } from './container.ts';
import { type Fields, invalidField } from './fields.ts';
import type { Metadata } from './metadata.ts';
import type { PlannedPod } from './pod.ts';

/** @returns what the user is told. */
export function applyService(spec: Fields, { name }: Metadata, pods: PlannedPod[]): string[] {
  const type = spec.word('type', ['ClusterIP', 'NodePort', 'LoadBalancer']) ?? 'ClusterIP';
  const selector = Object.entries(spec.textMap('selector'));
  const chosen = pods.filter(
    ({ labels }) => selector.length > 0 && selector.every(([key, value]) => labels[key] === value),
  );
  if (chosen.length === 0) throw invalidField(spec.at('selector'), 'no pod of the file has these labels');
  if (chosen.some(({ network }) => !network))
    throw invalidField(
      spec.at('selector'),
      "it chooses a pod that has the host's network",
      'Its ports are there already',
    );
  if (type !== 'ClusterIP' && chosen.length > 1)
    throw invalidField(spec.at('type'), `${type} is not carried out for several pods: nothing shares out connections`);
  const warnings: string[] = [];
  for (const port of spec.list('ports')) {
    const number = port.whole('port', 1, 65535);
    if (number === undefined) throw invalidField(port.at('port'), 'it is missing');
    const protocol = (port.word('protocol', ['TCP', 'UDP']) ?? 'TCP').toLowerCase();
    const wanted = port.scalar('targetPort') ?? number;
    const nodePort = port.whole('nodePort', 1, 65535);
    port.text('name');
    port.end();
    for (const pod of chosen) {
      const target = targetOf(pod, wanted, protocol);
      if (target === undefined) throw invalidField(port.at('targetPort'), `pod "${pod.name}" has no port "${wanted}"`);
      if (target !== number && type === 'ClusterIP')
        throw invalidField(
          port.at('targetPort'),
          `not carried out: it differs from port, and pods reach "${name}" at the ports that its pods have`,
          `Have ${target} as port`,
        );
      if (type === 'ClusterIP') {
        if (nodePort !== undefined) port.refuse('nodePort', 'not carried out for ClusterIP');
        continue;
      }
      if (target !== number) warnings.push(`Service "${name}": pods reach it at ${target}, not at ${number}`);
      if (type === 'NodePort' && nodePort === undefined)
        throw invalidField(port.at('nodePort'), 'it is missing: none is chosen');
      pod.ports.push({
        name: undefined,
        port: `${target}/${protocol}`,
        hostPort: type === 'NodePort' ? nodePort : number,
        hostIp: '',
      });
    }
  }
  spec.only('clusterIP', 'None', '');
  spec.only('sessionAffinity', 'None');
  spec.only('internalTrafficPolicy', 'Cluster');
  spec.only('externalTrafficPolicy', 'Cluster', 'Local');
  spec.end();
  for (const pod of chosen) pod.aliases.push(name);
  return warnings;
}

/** A port by its number, or by the name that a container gives it. */
function targetOf({ ports }: PlannedPod, wanted: string | number, protocol: string): number | undefined {
  if (typeof wanted === 'number') return wanted;
  const named = ports.find(({ name, port }: ContainerPort) => name === wanted && port.endsWith(`/${protocol}`));
  return named === undefined ? undefined : Number(named.port.split('/')[0]);
}
