// Builds the stages that a target needs, side by side where they do not need each other. Read this file first.
import { GantryError } from '../errors.ts';
import type { Draft } from '../image/builds.ts';
import { hostPlatform, matchesPlatform, parsePlatform } from '../image/image-config.ts';
import { familiarName, parseReference } from '../image/reference.ts';
import type { Platform } from '../types.ts';
import type { BuildContext } from './build-context.ts';
import type { Stage } from './dockerfile/ast.ts';
import { expandWord } from './dockerfile/expand.ts';
import { parseFailure } from './dockerfile/failure.ts';
import { globalVariables } from './dockerfile/variables.ts';
import { buildStage, located } from './stage.ts';
import { neededStages, planSteps, type StagePlan, stageNamed, targetStage } from './stages.ts';
import type { Step } from './told.ts';

/** @throws {GantryError} the first failure; nothing of the build works any more then. */
export async function solve(build: Omit<BuildContext, 'signal'>, signal: AbortSignal): Promise<Draft & { id: string }> {
  const { dockerfile: file, request, tell, engine } = build;
  const { builds } = engine.images;
  const target = targetStage(file, request.target);
  const targetPlatform = request.platform ?? hostPlatform();
  const variables = globalVariables(file, {
    buildArgs: request.buildArgs,
    buildPlatform: hostPlatform(),
    targetPlatform,
    targetStage: target.name ?? '',
  });
  const word = ({ range }: Stage, text: string): string => {
    try {
      return expandWord(text, (name) => variables.get(name), file.escapeToken);
    } catch (error) {
      throw parseFailure(range, error);
    }
  };
  const baseOf = (stage: Stage): string => {
    const base = word(stage, stage.base);
    if (base !== '') return base;
    throw parseFailure(stage.range, new Error(`base name (${stage.base}) should not be blank`));
  };
  const stages = neededStages(file, target, baseOf);
  const { globals, plans } = planSteps(stages, file.globalArgs);
  tell({ told: 'steps', steps: [...globals, ...plans.flatMap(({ from, steps }) => [from, ...steps])] });

  const failing = new AbortController();
  const own: BuildContext = { ...build, signal: AbortSignal.any([signal, failing.signal]) };
  const pins: (() => void)[] = [];
  const pin = (draft: Draft): Draft => {
    pins.push(builds.pin(draft));
    return draft;
  };
  const scratch = builds.scratch(targetPlatform);
  for (const step of globals) {
    tell({ told: 'begin', step });
    tell({ told: 'end', step, cached: false, draft: scratch });
  }

  const bases = new Map<string, Promise<Draft>>();
  /** An image, found or pulled once for all stages. */
  const imageDraft = (name: string, platform: Platform | undefined, step?: Step): Promise<Draft> => {
    const key = JSON.stringify([name, platform]);
    const known = bases.get(key) ?? findBase(own, name, platform, step).then(pin);
    bases.set(key, known);
    return known;
  };
  const results = new Map<Stage, Promise<Draft>>();
  const resultOf = (stage: Stage): Promise<Draft> => results.get(stage)!;
  /** What --from names. */
  const sourceOf = (stage: Stage, name: string): Promise<Draft> => {
    const other = stageNamed(file, name, stage.index, true);
    if (other !== undefined) return resultOf(other);
    return name === 'scratch' ? Promise.resolve(scratch) : imageDraft(name, request.platform);
  };
  const begin = async ({ stage, from }: StagePlan): Promise<Draft> => {
    const name = baseOf(stage);
    const other = stageNamed(file, name, stage.index, false);
    const asked = stage.platform === undefined ? '' : word(stage, stage.platform);
    const platform = asked === '' ? request.platform : parsePlatform(asked);
    if (other !== undefined) return resultOf(other);
    if (name === 'scratch') return builds.scratch(platform ?? targetPlatform);
    return imageDraft(name, platform, from);
  };
  for (const plan of plans) {
    const result = (async () => {
      const { stage, from } = plan;
      const other = stageNamed(file, baseOf(stage), stage.index, false);
      // The other's time is not this step's; should it fail, this step tells.
      if (other !== undefined) await resultOf(other).catch(() => {});
      tell({ told: 'begin', step: from });
      const draft = await begin(plan).catch((cause: unknown) => {
        const error = own.signal.aborted ? cause : located(cause, stage.range);
        tell({ told: 'fail', step: from, message: (error as Error).message, canceled: own.signal.aborted });
        throw error;
      });
      const built = await buildStage(own, plan, {
        base: draft,
        variables,
        triggers: other === undefined,
        isTarget: stage === target,
        sourceOf: (name) => sourceOf(stage, name),
        from,
      });
      tell({ told: 'stage', stage: stage.index });
      return pin(built);
    })();
    results.set(plan.stage, result);
    result.catch((error: unknown) => failing.abort(error));
  }
  try {
    // All of them: what another's failure has ended must be over, too.
    await Promise.allSettled(results.values());
    if (failing.signal.aborted) throw signal.aborted ? canceled() : failing.signal.reason;
    tell({ told: 'export', done: false });
    const finished = await engine.images.arrival(async () =>
      builds.finish(
        await resultOf(target),
        build.epoch === undefined ? undefined : new Date(build.epoch * 1000).toISOString(),
      ),
    );
    pin(finished);
    const image = await engine.images.keep(finished, request.tags);
    tell({ told: 'export', done: true, imageId: image.id });
    return finished;
  } finally {
    for (const release of pins) release();
    builds.cache.save();
  }
}

export function canceled(): GantryError {
  return new GantryError('TIMED_OUT', 'Cannot go on with the build: the client has gone');
}

/** A base image: one that is here and suits, else one of a registry. */
async function findBase(
  { engine, request, tell, signal }: BuildContext,
  name: string,
  platform: Platform | undefined,
  step: Step | undefined,
): Promise<Draft> {
  const { images } = engine;
  if (!request.pull) {
    const local = await images.find(name).catch((error: unknown) => {
      if (error instanceof GantryError && error.code === 'IMAGE_NOT_FOUND') return undefined;
      throw error;
    });
    if (local !== undefined && (platform === undefined || matchesPlatform(local.platform, platform)))
      return images.draft(local);
  }
  const reference = parseReference(name);
  const credentials = request.credentials(reference.registry);
  const { image } = await images.pull(name, {
    platform,
    credentials,
    signal,
    progress: ({ id = '', status, current, total }) => {
      if (step !== undefined)
        tell({
          told: 'status',
          step,
          id,
          status,
          ...(current === undefined ? {} : { current }),
          ...(total === undefined ? {} : { total }),
        });
    },
  });
  engine.events.emit('image', 'pull', familiarName(reference), { ...image.config.labels, name });
  return images.draft(image);
}
