// Which stages a build needs, and what its steps are called.
import { GantryError } from '../errors.ts';
import type { Dockerfile, Instruction, Stage } from './dockerfile/ast.ts';
import type { Step } from './told.ts';

/** @throws {GantryError} INVALID_ARGUMENT where no stage is called so. */
export function targetStage({ stages }: Dockerfile, target: string): Stage {
  if (target === '') return stages.at(-1)!;
  const named = stages.findLast(({ name }) => name === target.toLowerCase());
  const found = named ?? (/^\d+$/.test(target) ? stages[Number(target)] : undefined);
  if (found !== undefined) return found;
  const names = stages.flatMap(({ name }) => name ?? []);
  throw new GantryError('INVALID_ARGUMENT', `Failed to reach build target ${target} in Dockerfile`, {
    hint:
      names.length > 0 ? `Its stages are ${names.join(', ')}` : 'No stage has a name; give an index, the first is 0',
  });
}

/** The stage that FROM, --from or a mount names: one before it. Numbers are names of images behind FROM. */
export function stageNamed({ stages }: Dockerfile, name: string, before: number, byNumber: boolean): Stage | undefined {
  const earlier = stages.slice(0, before);
  const named = earlier.findLast((stage) => stage.name === name.toLowerCase());
  return named ?? (byNumber && /^\d+$/.test(name) ? earlier[Number(name)] : undefined);
}

/** The target and all that it is made of, in the order of the file. @param baseOf FROM's word, variables put in. */
export function neededStages(file: Dockerfile, target: Stage, baseOf: (stage: Stage) => string): Stage[] {
  const needed = new Set<Stage>();
  const visit = (stage: Stage): void => {
    if (needed.has(stage)) return;
    needed.add(stage);
    const names = stage.instructions.flatMap(sourcesOf);
    const base = stageNamed(file, baseOf(stage), stage.index, false);
    for (const one of [base, ...names.map((name) => stageNamed(file, name, stage.index, true))])
      if (one !== undefined) visit(one);
  };
  visit(target);
  return file.stages.filter((stage) => needed.has(stage));
}

function sourcesOf(instruction: Instruction): string[] {
  if (instruction.kind === 'copy') return instruction.from === undefined ? [] : [instruction.from];
  if (instruction.kind !== 'run') return [];
  return instruction.mounts.flatMap((mount) => ('from' in mount && mount.from !== undefined ? [mount.from] : []));
}

/** Instructions that work on files: the others only change the configuration. */
export const worksOnFiles = ({ kind }: Instruction): boolean => ['run', 'copy', 'add', 'workdir'].includes(kind);

export interface StagePlan {
  stage: Stage;
  from: Step;
  steps: Step[];
}

/** Steps of the stages that are built. The ARGs before the first FROM count, too, as docker counts. */
export function planSteps(stages: Stage[], globalArgs: Instruction[]): { globals: Step[]; plans: StagePlan[] } {
  const total = globalArgs.length + stages.reduce((sum, { instructions }) => sum + 1 + instructions.length, 0);
  let number = 0;
  const step = (stage: number, text: string, name: string): Step => {
    number++;
    return { id: `step-${number}`, stage, number, total, text, name };
  };
  const globals = globalArgs.map(({ text }) => step(stages[0]!.index, text, ''));
  const plans = stages.map((stage) => {
    const count = 1 + stage.instructions.filter(worksOnFiles).length;
    const label = stages.length > 1 ? `${stage.name ?? `stage-${stage.index}`} ` : '';
    let at = 0;
    const name = (text: string): string => {
      at++;
      return `[${label}${String(at).padStart(String(count).length)}/${count}] ${text}`;
    };
    return {
      stage,
      from: step(stage.index, stage.text, name(stage.text)),
      steps: stage.instructions.map((one) => step(stage.index, one.text, worksOnFiles(one) ? name(one.text) : '')),
    };
  });
  return { globals, plans };
}
