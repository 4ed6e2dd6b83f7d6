// A build as docker's classic builder tells it: "Step 1/4 : FROM busybox", " ---> 0123456789ab". Stages that work side by side
// are told one after the other.
import type { Step, Told } from '../../build/told.ts';
import { imageIdOf } from '../../build/image-id.ts';

type Line = (value: object) => void;

export interface BuildLines {
  tell(told: Told): void;
  /** The image is there. */
  done(id: string, tags: string[]): void;
}

const short = (id: string): string => id.replace('sha256:', '').slice(0, 12);

export function createBuildLines(line: Line, { quiet, removes }: { quiet: boolean; removes: boolean }): BuildLines {
  const stream = (text: string): void => line({ stream: text });
  /** Stages whose turn has not come: what is to be told then. */
  const held = new Map<number, Told[]>();
  let order: number[] = [];
  const over = new Set<number>();
  const containers = new Map<string, string>();

  const write = (told: Told): void => {
    switch (told.told) {
      case 'triggers':
        stream(`# Executing ${told.steps.length} build trigger${told.steps.length === 1 ? '' : 's'}\n`);
        break;
      case 'begin': {
        const { number, total, text } = told.step;
        if (number > 0) stream(`Step ${number}/${total} : ${text}\n`);
        break;
      }
      case 'container':
        containers.set(told.step.id, told.id);
        stream(` ---> Running in ${short(told.id)}\n`);
        break;
      case 'log':
        stream(told.text);
        break;
      case 'status': {
        const { status, id, current, total } = told;
        line({
          status,
          ...(id ? { id } : {}),
          ...(current === undefined ? {} : { progressDetail: { current, total } }),
        });
        break;
      }
      case 'end':
        ended(told.step, told.cached, told.draft);
        break;
      default:
        break;
    }
  };
  const ended = (step: Step, cached: boolean, draft: Parameters<typeof imageIdOf>[0]): void => {
    const container = containers.get(step.id);
    if (container !== undefined && removes) stream(` ---> Removed intermediate container ${short(container)}\n`);
    if (cached && !/^FROM\b/i.test(step.text) && step.number > 0) stream(' ---> Using cache\n');
    const id = imageIdOf(draft);
    // The last one has its ID when it has its times.
    if (step.number !== step.total) stream(` ---> ${short(id)}\n`);
  };
  const stageOf = (told: Told): number | undefined =>
    'step' in told ? told.step.stage : told.told === 'stage' ? told.stage : undefined;
  const next = (): void => {
    while (order.length > 0) {
      for (const told of held.get(order[0]!)?.splice(0) ?? []) write(told);
      if (!over.has(order[0]!)) return;
      order = order.slice(1);
    }
  };

  return {
    tell(told) {
      if (told.told === 'steps') order = [...new Set(told.steps.map(({ stage }) => stage))];
      if (told.told === 'warning' && !quiet) stream(`[Warning] ${told.warning.message}\n`);
      const stage = stageOf(told);
      if (quiet || stage === undefined) return;
      if (told.told === 'stage') over.add(stage);
      // What failed is told at once, with what led there.
      if (told.told === 'fail' && !told.canceled) order = [stage, ...order.filter((one) => one !== stage)];
      held.set(stage, [...(held.get(stage) ?? []), told]);
      next();
    },
    done(id, tags) {
      if (quiet) return stream(`${id}\n`);
      stream(` ---> ${short(id)}\n`);
      line({ aux: { ID: id } });
      stream(`Successfully built ${short(id)}\n`);
      for (const tag of tags) stream(`Successfully tagged ${tag}\n`);
    },
  };
}
