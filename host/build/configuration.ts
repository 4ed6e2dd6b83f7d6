// Instructions that change the image's configuration and no file, by the Dockerfile reference's rules.
import { posix } from 'node:path';
import type { ImageConfig } from '../types.ts';
import type { CommandForm, Instruction } from './dockerfile/ast.ts';

export interface Configured {
  config: ImageConfig;
  author?: string;
  /** As the history tells it. */
  createdBy: string;
}

const SHELL = ['/bin/sh', '-c'];

export function shellOf({ shell }: ImageConfig): string[] {
  return shell === undefined || shell.length === 0 ? SHELL : shell;
}

/** Program and arguments of either form. */
export function wordsOf(command: CommandForm, config: ImageConfig): string[] {
  return command.form === 'exec' ? command.words : [...shellOf(config), command.text];
}

export function workdirOf({ workingDir }: ImageConfig, path: string): string {
  return posix.join('/', path.startsWith('/') ? path : posix.join(workingDir || '/', path)).replace(/(.)\/$/, '$1');
}

const pair = ({ name, value }: { name: string; value: string }): string =>
  `${name}=${/[\s"'$]/.test(value) || value === '' ? JSON.stringify(value) : value}`;
const list = (words: string[]): string => `[${words.map((word) => JSON.stringify(word)).join(' ')}]`;
const union = (known: string[], more: string[]): string[] => [...new Set([...known, ...more])];

/**
 * @param instruction expanded; not one that works on files.
 * @param setsCommand CMD stands in this stage: ENTRYPOINT then leaves it.
 * @param env of the stage, for ENV.
 */
export function configure(
  config: ImageConfig,
  instruction: Instruction,
  { setsCommand, env }: { setsCommand: boolean; env: string[] },
): Configured {
  switch (instruction.kind) {
    case 'env':
      return { config: { ...config, env }, createdBy: `ENV ${instruction.pairs.map(pair).join(' ')}` };
    case 'label': {
      const labels = Object.fromEntries(instruction.pairs.map(({ name, value }) => [name, value]));
      return {
        config: { ...config, labels: { ...config.labels, ...labels } },
        createdBy: `LABEL ${instruction.pairs.map(pair).join(' ')}`,
      };
    }
    case 'cmd': {
      const command = wordsOf(instruction.command, config);
      return { config: { ...config, command }, createdBy: `CMD ${list(command)}` };
    }
    case 'entrypoint': {
      const entrypoint = wordsOf(instruction.command, config);
      // The command of the base image was meant for another program.
      const command = setsCommand ? config.command : [];
      return { config: { ...config, entrypoint, command }, createdBy: `ENTRYPOINT ${list(entrypoint)}` };
    }
    case 'healthcheck':
      return { config: { ...config, healthcheck: instruction.check }, createdBy: instruction.text };
    case 'shell':
      return { config: { ...config, shell: instruction.words }, createdBy: `SHELL ${list(instruction.words)}` };
    case 'expose':
      return {
        config: { ...config, exposedPorts: union(config.exposedPorts, instruction.ports) },
        createdBy: `EXPOSE ${list(instruction.ports).replaceAll('"', '')}`,
      };
    case 'volume':
      return {
        config: { ...config, volumes: union(config.volumes, instruction.paths) },
        createdBy: `VOLUME ${list(instruction.paths).replaceAll('"', '')}`,
      };
    case 'user':
      return { config: { ...config, user: instruction.user }, createdBy: `USER ${instruction.user}` };
    case 'stopsignal':
      return { config: { ...config, stopSignal: instruction.signal }, createdBy: `STOPSIGNAL ${instruction.signal}` };
    case 'maintainer':
      return { config, author: instruction.maintainer, createdBy: `MAINTAINER ${instruction.maintainer}` };
    case 'onbuild':
      return {
        config: { ...config, onBuild: [...(config.onBuild ?? []), instruction.trigger] },
        createdBy: `ONBUILD ${instruction.trigger}`,
      };
    default:
      return { config, createdBy: instruction.text };
  }
}
