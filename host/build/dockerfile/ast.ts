// What a Dockerfile says, as types: stages of instructions, as written; `expand.ts` puts variables in. No code here.
import type { Healthcheck } from '../../types.ts';

/** Lines of the file, counted from 1, both inclusive. */
export interface LineRange {
  start: number;
  end: number;
}

export interface Dockerfile {
  /** As the user named it; for messages. */
  name: string;
  /** Of the whole file, without their ends: what excerpts are cut from. */
  lines: string[];
  /** The character that continues lines and quotes others; a backslash unless a directive says otherwise. */
  escapeToken: '\\' | '`';
  /** The ARGs before the first FROM. */
  globalArgs: ArgInstruction[];
  stages: Stage[];
  /** What is accepted but most likely not meant. */
  warnings: DockerfileWarning[];
}

export interface DockerfileWarning {
  /** BuildKit's name of the check, such as "JSONArgsRecommended"; empty where it has none. */
  rule: string;
  message: string;
  range: LineRange;
}

export interface Stage {
  index: number;
  /** Of "AS NAME", in lower case; undefined without it. */
  name?: string;
  /** Image, stage or "scratch"; variables are global ones, not yet put in. */
  base: string;
  /** Of --platform, variables not yet put in. */
  platform?: string;
  range: LineRange;
  /** The FROM as written, on one line. */
  text: string;
  instructions: Instruction[];
}

interface Written {
  range: LineRange;
  /** As written, continued lines joined: what history and progress show. Heredocs' contents are left away. */
  text: string;
}

/** Words of the exec form, or one text for the shell. */
export type CommandForm = { form: 'exec'; words: string[] } | { form: 'shell'; text: string };

/** The content of "<<NAME". */
export interface Heredoc {
  /** For COPY the name of the file that it becomes. */
  name: string;
  content: string;
  /** Variables are put in: NAME was not quoted. COPY and ADD only; a shell does its own for RUN. */
  expand: boolean;
}

export interface RunInstruction extends Written {
  kind: 'run';
  /**
   * 'script' is a lone heredoc that begins with "#!": a file of this content is executed. Any other heredoc stands in the shell's
   * text as the shell wants it.
   */
  command: CommandForm | { form: 'script'; name: string; content: string };
  mounts: RunMount[];
  network: 'default' | 'none' | 'host';
}

/** --mount of RUN. Texts may hold variables until the instruction is expanded. */
export type RunMount = { /** As written. */ text: string; target: string } & (
  | {
      type: 'bind';
      /** Stage or image; undefined: the build context. */
      from?: string;
      source: string;
      /** Writable; what is written is dropped. */
      writable: boolean;
    }
  | {
      type: 'cache';
      /** The same id is the same cache; its target where none is given. */
      id: string;
      sharing: 'shared' | 'private' | 'locked';
      /** Stage or image that a new cache starts from. */
      from?: string;
      source: string;
      readOnly: boolean;
      mode: number;
      uid: number;
      gid: number;
    }
  | { type: 'tmpfs' /** Bytes; 0 for no limit. */; size: number }
  | {
      type: 'secret';
      id: string;
      /** Where it becomes a variable: its name. Without a target given beside it there is no file. */
      env?: string;
      required: boolean;
      mode: number;
      uid: number;
      gid: number;
    }
);

interface Transfer extends Written {
  /** Paths with wildcards, or for ADD URLs. */
  sources: string[];
  /** Sources that stand in the Dockerfile itself. */
  heredocs: Heredoc[];
  destination: string;
  /** "user:group", names or numbers. */
  chown?: string;
  /** Octal, or as chmod(1) writes it ("u=rwX,go=rX"). */
  chmod?: string;
  link: boolean;
  /** Patterns, relative to each source. */
  exclude: string[];
}

export interface CopyInstruction extends Transfer {
  kind: 'copy';
  /** Stage's name or index, or an image. Never holds variables. */
  from?: string;
  /** Sources keep their parent directories ("./" in a source: from there on). */
  parents: boolean;
}

export interface AddInstruction extends Transfer {
  kind: 'add';
  /** "sha256:…" of the one URL. */
  checksum?: string;
  /** Said by --unpack; undefined: archives of the context are unpacked, downloads are not. */
  unpack?: boolean;
}

/** NAME=value. */
export interface Pair {
  name: string;
  value: string;
}

export interface EnvInstruction extends Written {
  kind: 'env';
  pairs: Pair[];
}
export interface LabelInstruction extends Written {
  kind: 'label';
  pairs: Pair[];
}
export interface ArgInstruction extends Written {
  kind: 'arg';
  /** Value: its default. */
  args: { name: string; value?: string }[];
}
export interface CmdInstruction extends Written {
  kind: 'cmd';
  command: CommandForm;
}
export interface EntrypointInstruction extends Written {
  kind: 'entrypoint';
  command: CommandForm;
}
export interface HealthcheckInstruction extends Written {
  kind: 'healthcheck';
  /** Test is ["NONE"], ["CMD", …] or ["CMD-SHELL", text]; what is not said is 0. */
  check: Healthcheck;
}
export interface ShellInstruction extends Written {
  kind: 'shell';
  words: string[];
}
export interface ExposeInstruction extends Written {
  kind: 'expose';
  /** After `expand`: "80/tcp", ranges opened. */
  ports: string[];
}
export interface VolumeInstruction extends Written {
  kind: 'volume';
  paths: string[];
}
export interface UserInstruction extends Written {
  kind: 'user';
  user: string;
}
export interface WorkdirInstruction extends Written {
  kind: 'workdir';
  /** Relative to the one before where it does not begin with "/". */
  path: string;
}
export interface StopsignalInstruction extends Written {
  kind: 'stopsignal';
  signal: string;
}
export interface MaintainerInstruction extends Written {
  kind: 'maintainer';
  maintainer: string;
}
export interface OnbuildInstruction extends Written {
  kind: 'onbuild';
  /** An instruction, as the image's configuration keeps it; `parseTrigger` reads it. */
  trigger: string;
}

export type Instruction =
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | EnvInstruction
  | LabelInstruction
  | ArgInstruction
  | CmdInstruction
  | EntrypointInstruction
  | HealthcheckInstruction
  | ShellInstruction
  | ExposeInstruction
  | VolumeInstruction
  | UserInstruction
  | WorkdirInstruction
  | StopsignalInstruction
  | MaintainerInstruction
  | OnbuildInstruction;
