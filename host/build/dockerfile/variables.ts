// Who sees which variable: the global ARGs for FROM, a stage's own ARGs and ENVs for what follows them, and what RUN gets.
import type { Platform } from '../../types.ts';
import type { ArgInstruction, Dockerfile, Pair } from './ast.ts';
import { expandWord } from './expand.ts';
import { parseFailure } from './failure.ts';
import type { Lookup } from './words.ts';

export interface VariableInput {
  /** Of --build-arg. */
  buildArgs: Record<string, string>;
  buildPlatform: Platform;
  targetPlatform: Platform;
  /** Name of the stage that is built; empty for one without a name. */
  targetStage: string;
}

/** Arguments that RUN gets without an ARG, and that neither the cache nor the history knows. */
const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'];

function platformText({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join('/');
}

/** What FROM and --platform may use: TARGETPLATFORM and its like, and the ARGs before the first FROM. @throws {GantryError} with lines. */
export function globalVariables(
  { globalArgs, escapeToken }: Pick<Dockerfile, 'globalArgs' | 'escapeToken'>,
  { buildArgs, buildPlatform, targetPlatform, targetStage }: VariableInput,
): Map<string, string> {
  const platform = (prefix: string, { os, architecture, variant }: Platform): [string, string][] => [
    [`${prefix}PLATFORM`, platformText({ os, architecture, ...(variant ? { variant } : {}) })],
    [`${prefix}OS`, os],
    [`${prefix}ARCH`, architecture],
    [`${prefix}VARIANT`, variant ?? ''],
  ];
  const found = new Map<string, string>([
    ...platform('BUILD', buildPlatform),
    ...platform('TARGET', targetPlatform),
    ['TARGETSTAGE', targetStage || 'default'],
  ]);
  for (const name of found.keys()) if (Object.hasOwn(buildArgs, name)) found.set(name, buildArgs[name]!);
  for (const { args, range } of globalArgs)
    for (const { name, value } of args)
      try {
        const text = Object.hasOwn(buildArgs, name)
          ? buildArgs[name]
          : value === undefined
            ? undefined
            : expandWord(value, (other) => found.get(other), escapeToken);
        if (text !== undefined) found.set(name, text);
      } catch (error) {
        throw parseFailure(range, error);
      }
  return found;
}

/** A declared argument with the value that counts; without one it is unset. */
export interface DeclaredArg {
  name: string;
  value?: string;
}

/** The variables of one stage while its instructions go by. */
export class StageVariables {
  private readonly env = new Map<string, string>();
  private readonly args = new Map<string, string>();
  private readonly global: Map<string, string>;
  private readonly buildArgs: Record<string, string>;
  private readonly escapeToken: '\\' | '`';

  /** @param env of the base image, "NAME=value". @param global of `globalVariables`. */
  constructor(
    env: string[],
    global: Map<string, string>,
    { buildArgs, escapeToken }: { buildArgs: Record<string, string>; escapeToken: '\\' | '`' },
  ) {
    for (const entry of env) {
      const at = entry.indexOf('=');
      this.env.set(at < 0 ? entry : entry.slice(0, at), at < 0 ? '' : entry.slice(at + 1));
    }
    this.global = global;
    this.buildArgs = buildArgs;
    this.escapeToken = escapeToken;
  }

  /** A variable of ENV hides an argument, wherever either stands. */
  readonly lookup: Lookup = (name) => this.env.get(name) ?? this.args.get(name);

  /** ARG: --build-arg, else the default, else a global ARG's value. @throws {GantryError} with lines. */
  declare({ args, range }: ArgInstruction): DeclaredArg[] {
    return args.map(({ name, value }) => {
      try {
        const found = Object.hasOwn(this.buildArgs, name)
          ? this.buildArgs[name]
          : value === undefined
            ? this.global.get(name)
            : expandWord(value, this.lookup, this.escapeToken);
        if (found === undefined) return { name };
        this.args.set(name, found);
        return { name, value: found };
      } catch (error) {
        throw parseFailure(range, error);
      }
    });
  }

  /** ENV, expanded already. */
  assign(pairs: Pair[]): void {
    for (const { name, value } of pairs) this.env.set(name, value);
  }

  /** "NAME=value" for the image's configuration. */
  get environment(): string[] {
    return [...this.env].map(([name, value]) => `${name}=${value}`);
  }

  /** Arguments in effect that no ENV hides: with `environment` what RUN sees, and a part of its cache key. */
  get arguments(): string[] {
    return [...this.args].filter(([name]) => !this.env.has(name)).map(([name, value]) => `${name}=${value}`);
  }

  /** Proxies of --build-arg that nothing declares: RUN gets them, in both spellings' own names; no key, no history has them. */
  get proxies(): string[] {
    return Object.entries(this.buildArgs)
      .filter(([name]) => PROXIES.includes(name.toUpperCase()) && !this.args.has(name) && !this.env.has(name))
      .map(([name, value]) => `${name}=${value}`);
  }
}
