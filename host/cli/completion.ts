// `completion`: scripts for bash, zsh and fish, made from the tables of commands and flags.
import { GantryError } from '../errors.ts';
import type { Command, CommandTable } from './command.ts';

interface Entry {
  name: string;
  summary: string;
  flags: { name: string; short?: string; help: string }[];
  /** What its arguments name. */
  objects: 'containers' | 'contexts' | 'copies' | 'images' | 'networks' | 'volumes' | '';
}

async function entries(table: CommandTable): Promise<Entry[]> {
  return Promise.all(
    table.names().map(async (name) => {
      const { summary, flags, usage } = await table.load(name);
      const objects = /CONTAINER:/.test(usage)
        ? 'copies'
        : /CONTAINER/.test(usage) && !name.startsWith('network ')
          ? 'containers'
          : /IMAGE/.test(usage)
            ? 'images'
            : /VOLUME/.test(usage) && name !== 'volume create'
              ? 'volumes'
              : /NETWORK/.test(usage)
                ? 'networks'
                : /CONTEXT/.test(usage) && name !== 'context create'
                  ? 'contexts'
                  : '';
      return { name, summary, flags: flags.filter(({ hidden }) => !hidden), objects } as Entry;
    }),
  );
}

const lister = {
  containers: "gantry ps -a --format '{{.Names}}'",
  contexts: 'gantry context ls -q',
  copies: "gantry ps -a --format '{{.Names}}:'",
  networks: "gantry network ls --format '{{.Name}}'",
  volumes: 'gantry volume ls -q',
  images: "gantry images --format '{{.Repository}}:{{.Tag}}'",
  '': 'true',
} as const;

function bash(list: Entry[]): string {
  const cases = list.map(({ name, flags, objects }) => {
    const words = flags.map((flag) => `--${flag.name}`).join(' ');
    return `    "${name}") flags="${words}"; list="${lister[objects]}";;`;
  });
  const groups = [...new Set(list.filter(({ name }) => name.includes(' ')).map(({ name }) => name.split(' ')[0]!))].map(
    (group) => {
      const members = list.filter(({ name }) => name.startsWith(`${group} `)).map(({ name }) => name.split(' ')[1]);
      return `    ${group}) members="${members.join(' ')}";;`;
    },
  );
  return `_gantry() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" flags members list=true
  case "$command" in
${groups.join('\n')}
  esac
  if [ "$COMP_CWORD" = 2 ] && [ -n "$members" ]; then
    COMPREPLY=($(compgen -W "$members" -- "$current"))
    return
  fi
  [ -z "$members" ] || command="$command \${COMP_WORDS[2]}"
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "${[...new Set(list.map(({ name }) => name.split(' ')[0]))].join(' ')}" -- "$current"))
    return
  fi
  case "$command" in
${cases.join('\n')}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current"));;
    *) COMPREPLY=($(compgen -W "$(eval "$list" 2>/dev/null)" -- "$current"));;
  esac
}
complete -o default -F _gantry gantry
`;
}

const quoted = (text: string): string => text.replaceAll("'", '’');

function zsh(list: Entry[]): string {
  const names = list.map(({ name, summary }) => `    '${name.split(' ')[0]}:${quoted(summary)}'`);
  const cases = list.map(({ name, flags, objects }) => {
    const words = flags
      .map((flag) => `'--${flag.name}[${quoted(flag.help).replaceAll('[', '(').replaceAll(']', ')')}]'`)
      .join(' ');
    const rest = objects === '' ? "'*:file:_files'" : `"*:${objects}:($(${lister[objects]} 2>/dev/null))"`;
    return `    '${name}') _arguments ${words} ${rest};;`;
  });
  return `#compdef gantry
_gantry() {
  local -a commands
  commands=(
${[...new Set(names)].join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  local command="$words[2]"
  shift words; (( CURRENT-- ))
  case "$command" in
${cases.join('\n')}
  esac
}
compdef _gantry gantry
`;
}

function fish(list: Entry[]): string {
  const lines = list.flatMap(({ name, summary, flags, objects }) => {
    const [first] = name.split(' ');
    const seen = `__fish_seen_subcommand_from ${first}`;
    return [
      `complete -c gantry -n __fish_use_subcommand -f -a ${first} -d '${quoted(summary)}'`,
      ...flags.map(
        (flag) =>
          `complete -c gantry -n '${seen}' -l ${flag.name}${flag.short ? ` -s ${flag.short}` : ''} -d '${quoted(flag.help)}'`,
      ),
      ...(objects === '' ? [] : [`complete -c gantry -n '${seen}' -f -a "(${lister[objects]} 2>/dev/null)"`]),
    ];
  });
  return `${[...new Set(lines)].join('\n')}\n`;
}

const shells: Record<string, (list: Entry[]) => string> = { bash, zsh, fish };

export const completion: Command = {
  usage: 'bash|zsh|fish',
  summary: 'Print the completion script for a shell',
  flags: [],
  args: [1, 1],
  async run({ args }, { commands }) {
    const make = shells[args[0]!];
    if (make === undefined)
      throw new GantryError('INVALID_ARGUMENT', `Unknown shell "${args[0]}"`, { hint: 'bash, zsh and fish are known' });
    process.stdout.write(make(await entries(commands)));
    return 0;
  },
};
