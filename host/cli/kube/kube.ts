// `kube play` and `kube down`: their flags; what they do is loaded when they run.
import type { Command, Context } from '../command.ts';
import type { Flag, Parsed } from '../flags.ts';

const CONFIGMAP: Flag = { name: 'configmap', kind: 'list', value: 'path', help: 'A further file with ConfigMaps' };

/** Podman has them and gantry has not. */
const refused: Flag[] = [
  ...(
    [
      ['annotation', 'list', 'annotations stand in the file'],
      ['authfile', 'value', 'log in with gantry login'],
      ['build', 'switch', 'build first: gantry build'],
      ['cert-dir', 'value', 'certificates of registries are where docker has them'],
      ['creds', 'value', 'log in with gantry login'],
      ['context-dir', 'value', 'nothing is built from a Kubernetes file'],
      ['ip', 'list', 'addresses of pods are given by the network'],
      ['mac-address', 'list', 'addresses of pods are given by the network'],
      ['log-driver', 'value', 'the engine writes json-file'],
      ['log-opt', 'list', 'the engine writes json-file'],
      ['network', 'list', "pods are in the network gantry-kube, or in the host's with hostNetwork"],
      ['no-hosts', 'switch', 'names of containers stand in /etc/hosts'],
      ['seccomp-profile-root', 'value', 'the profiles are RuntimeDefault and Unconfined'],
      ['service-container', 'switch', 'pods are not tied to a unit of systemd'],
      ['tls-verify', 'value', 'registries without TLS are set up in daemon.json'],
      ['userns', 'value', 'pods have the user namespace of the host'],
      ['wait', 'switch', 'gantry wait waits for containers'],
    ] as [string, Flag['kind'], string][]
  ).map(([name, kind, reason]): Flag => ({ name, kind, help: '', hidden: true, refused: reason })),
];

const play: Command = {
  usage: '[OPTIONS] FILE|-',
  summary: 'Run the pods of a Kubernetes file',
  flags: [
    CONFIGMAP,
    { name: 'down', kind: 'switch', help: 'Take the pods of the file down instead', hidden: true },
    { name: 'replace', kind: 'switch', help: 'Take down pods of these names first' },
    { name: 'start', kind: 'switch', help: 'Start the pods after creating them (default true)' },
    { name: 'quiet', short: 'q', kind: 'switch', help: 'Suppress output of pulls' },
    ...refused,
  ],
  args: [1, 1],
  async run(parsed: Parsed, context: Context) {
    if (parsed.switch('down')) return (await import('./down.ts')).runDown(parsed, context);
    return (await import('./play.ts')).runPlay(parsed, context);
  },
};

const down: Command = {
  usage: '[OPTIONS] FILE|-',
  summary: 'Remove the pods of a Kubernetes file',
  flags: [{ name: 'force', kind: 'switch', help: 'Remove the volumes of PersistentVolumeClaims, too' }],
  args: [1, 1],
  run: async (parsed, context) => (await import('./down.ts')).runDown(parsed, context),
};

export const commands: Record<string, Command> = { play, down };
