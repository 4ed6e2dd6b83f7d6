// A Deployment → its pods, named NAME-pod, or NAME-pod-0 and so on where there are several.
import { type Fields, invalidField } from './fields.ts';
import { type Metadata, readMetadata } from './metadata.ts';
import { type PlannedPod, readPod } from './pod.ts';
import type { AllSettings } from './settings.ts';

const MOST = 100;

export function readDeployment(spec: Fields, { name, namespace }: Metadata, settings: AllSettings): PlannedPod[] {
  const replicas = spec.whole('replicas', 0, MOST) ?? 1;
  const template = spec.child('template');
  if (template === undefined) throw invalidField(spec.at('template'), 'it is missing');
  const metadata = { ...readMetadata(template, false), namespace };
  checkSelector(spec, metadata);
  const strategy = spec.child('strategy');
  // What --replace does: first all pods go, then the new ones come.
  strategy?.only('type', 'Recreate');
  strategy?.end();
  spec.end();
  const pods = Array.from({ length: replicas }, (_none, index) => {
    const podSpec = template.child('spec');
    if (podSpec === undefined) throw invalidField(template.at('spec'), 'it is missing');
    podSpec.only('restartPolicy', 'Always');
    const podName = replicas === 1 ? `${name}-pod` : `${name}-pod-${index}`;
    return readPod(podSpec, { ...metadata, name: podName }, settings, name);
  });
  template.written('spec');
  template.end();
  for (const { ports } of pods)
    if (replicas > 1 && ports.some(({ hostPort }) => hostPort !== undefined))
      throw invalidField(spec.at('replicas'), `${replicas} pods cannot have one hostPort`);
  return pods;
}

function checkSelector(spec: Fields, { labels }: Metadata): void {
  const selector = spec.child('selector');
  if (selector === undefined) throw invalidField(spec.at('selector'), 'it is missing');
  for (const [key, value] of Object.entries(selector.textMap('matchLabels')))
    if (labels[key] !== value)
      throw invalidField(selector.at('matchLabels'), `the template's labels have no "${key}: ${value}"`);
  selector.end();
}
