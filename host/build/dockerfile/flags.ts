// The flags of instructions, "--name=value": known ones only, once each unless they are lists.
import { Refusal, suggestion } from './failure.ts';

type Kind = 'text' | 'switch' | 'list';

export interface InstructionFlags {
  text(name: string): string | undefined;
  /** Undefined where it is not given. */
  switch(name: string): boolean | undefined;
  list(name: string): string[];
}

/** @param refused what docker has and this engine has not: why. */
export function readFlags(
  flags: string[],
  known: Record<string, Kind>,
  refused: Record<string, string> = {},
): InstructionFlags {
  const found = new Map<string, string[]>();
  for (const flag of flags) {
    const at = flag.indexOf('=');
    const name = at < 0 ? flag.slice(2) : flag.slice(2, at);
    const value = at < 0 ? undefined : flag.slice(at + 1);
    if (Object.hasOwn(refused, name)) throw new Refusal(`--${name} is not supported: ${refused[name]}`);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) throw new Refusal(`unknown flag: --${name}${suggestion(name, Object.keys(known))}`);
    if (kind !== 'list' && found.has(name)) throw new Refusal(`duplicate flag specified: --${name}`);
    if (kind === 'switch' ? value === '' : value === undefined) throw new Refusal(`missing a value on flag: --${name}`);
    if (kind === 'switch' && !/^(true|false)?$/i.test(value ?? ''))
      throw new Refusal(`expecting boolean value for flag --${name}, not: ${value}`);
    found.set(name, [...(found.get(name) ?? []), value ?? 'true']);
  }
  return {
    text: (name) => found.get(name)?.[0],
    switch: (name) => (found.has(name) ? /^true$/i.test(found.get(name)![0]!) : undefined),
    list: (name) => found.get(name) ?? [],
  };
}
