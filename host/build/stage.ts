// One stage, instruction by instruction: a key for each that works on files, its layer from the cache or made now.
import { createHash } from 'node:crypto';
import type { CacheRecord } from '../image/build-cache.ts';
import type { Draft } from '../image/builds.ts';
import { lookUpLayered } from '../image/layered-files.ts';
import type { ImageConfig } from '../types.ts';
import { GantryError } from '../errors.ts';
import type { BuildContext } from './build-context.ts';
import { configure, workdirOf } from './configuration.ts';
import type {
  AddInstruction,
  CopyInstruction,
  Instruction,
  LineRange,
  RunInstruction,
  WorkdirInstruction,
} from './dockerfile/ast.ts';
import { expandInstruction } from './dockerfile/expand.ts';
import { parseTrigger } from './dockerfile/parse.ts';
import { StageVariables } from './dockerfile/variables.ts';
import { createLayerDraft, type LayerDraft, type LookUp } from './files/layer-draft.ts';
import { commandText, run } from './run.ts';
import { mountKeys } from './run-mounts.ts';
import type { Output } from './shared-work.ts';
import { type StagePlan, worksOnFiles } from './stages.ts';
import type { Step } from './told.ts';
import { ownerIsNumber, readTransfer } from './transfer.ts';

export interface StageStart {
  base: Draft;
  /** Global variables. */
  variables: Map<string, string>;
  /** The base is an image, whose triggers are carried out. */
  triggers: boolean;
  isTarget: boolean;
  /** What a --from names. */
  sourceOf(name: string): Promise<Draft>;
  from: Step;
}

/** What the history says made it, where BuildKit names itself. */
const COMMENT = 'gantry';

export async function buildStage(build: BuildContext, plan: StagePlan, start: StageStart): Promise<Draft> {
  const { request, tell, dockerfile, engine, epoch } = build;
  const { builds } = engine.images;
  const { from } = start;
  const base = withPath(start.base, plan.stage.instructions.length > 0);
  const { escapeToken } = dockerfile;
  const variables = new StageVariables(base.image.config.env, start.variables, {
    buildArgs: request.buildArgs,
    escapeToken,
  });
  let draft: Draft = base;
  let setsCommand = false;
  const fixed = epoch === undefined ? undefined : new Date(epoch * 1000).toISOString();

  const change = (
    createdBy: string,
    config: ImageConfig,
    { record, author }: { record?: CacheRecord; author?: string } = {},
  ): void => {
    const layer = record?.layer;
    const created = fixed ?? (layer === undefined ? undefined : record?.createdAt);
    const { image, layers } = draft;
    draft = {
      image: {
        ...image,
        ...(author === undefined ? {} : { author }),
        ...(created === undefined ? {} : { created }),
        config,
        diffIds: layer === undefined ? image.diffIds : [...image.diffIds, layer.diffId],
        history: [
          ...image.history,
          {
            ...(created === undefined ? {} : { created }),
            createdBy,
            comment: COMMENT,
            ...(layer === undefined ? { emptyLayer: true } : {}),
          },
        ],
      },
      layers: layer === undefined ? layers : [...layers, layer],
    };
  };

  const lookUpIn =
    (layers: string[]): LookUp =>
    (directory, name) =>
      lookUpLayered(layers, directory, name);

  /** The layer of a step that works on files, by its key. */
  const layer = async (
    step: Step,
    parts: unknown[],
    description: string,
    make: (
      output: Output,
      store: (tar: AsyncIterable<Uint8Array> | undefined) => Promise<CacheRecord>,
    ) => Promise<CacheRecord>,
    { sooner, below = draft.image.diffIds }: { sooner?: string | undefined; below?: string[] | undefined } = {},
  ): Promise<{ record: CacheRecord; cached: boolean }> => {
    const key = keyOf([below, draft.image.platform, epoch ?? null, ...parts]);
    const known = request.noCache ? undefined : await builds.cached(key);
    const used = (record: CacheRecord): void =>
      builds.cache.change((file) => {
        record.lastUsedAt = new Date().toISOString();
        record.usageCount++;
        if (sooner !== undefined && sooner !== key) file.aliases[sooner] = key;
      });
    if (known !== undefined) {
      used(known);
      return { record: known, cached: true };
    }
    const output: Output = (stream, text) => tell({ told: 'log', step, stream, text });
    const store = (tar: AsyncIterable<Uint8Array> | undefined): Promise<CacheRecord> =>
      engine.images.arrival(async () => {
        const record = await builds.remember(key, description, tar);
        builds.cache.save();
        return record;
      });
    const record = request.noCache
      ? await make(output, store)
      : await build.shared.once(key, build.signal, output, (all) => make(all, store));
    used(record);
    return { record, cached: false };
  };

  const runStep = async (step: Step, instruction: RunInstruction): Promise<boolean> => {
    const args = variables.arguments;
    const { config } = draft.image;
    const before = draft;
    const text = commandText(instruction, before);
    const createdBy = `RUN ${args.length > 0 ? `|${args.length} ${args.join(' ')} ` : ''}${text}`;
    const { command, network } = instruction;
    const parts = [
      ...['run', command, network, config.env, config.user, config.workingDir, config.shell ?? null, args],
      await mountKeys(build, instruction.mounts, start.sourceOf),
    ];
    const { record, cached } = await layer(step, parts, createdBy, async (output, store) =>
      run(
        build,
        {
          draft: before,
          instruction,
          args,
          proxies: variables.proxies,
          lookUp: lookUpIn(await builds.layerPaths(before)),
          draftOf: start.sourceOf,
          output,
          started: (id) => tell({ told: 'container', step, id }),
        },
        store,
      ),
    );
    change(createdBy, config, { record });
    return cached;
  };

  const draftLayer = async (
    write: (layer: LayerDraft) => Promise<void> | void,
    paths: string[],
  ): Promise<LayerDraft> => {
    const made = createLayerDraft(lookUpIn(paths), epoch ?? Math.floor(Date.now() / 1000));
    await write(made);
    return made;
  };

  const copyStep = async (step: Step, instruction: CopyInstruction | AddInstruction): Promise<boolean> => {
    const source =
      instruction.kind === 'copy' && instruction.from !== undefined
        ? await start.sourceOf(instruction.from)
        : undefined;
    const { config, diffIds, platform } = draft.image;
    const createdBy = `${instruction.kind.toUpperCase()} ${transferText(instruction)}`;
    // With --link the layer is made as upon nothing, so that it suits any layers below: no link is followed, directories are new.
    const below = instruction.link ? [] : diffIds;
    // Files of a stage are only read where the stage has changed. Names of owners are the image's in any case.
    const read = ownerIsNumber(instruction.chown) ? below : diffIds;
    const sooner =
      source &&
      keyOf([
        ...['copy from', instruction.link, read, platform, epoch ?? null, source.image.diffIds],
        ...[config.workingDir, instruction.text],
      ]);
    const early = sooner === undefined || request.noCache ? undefined : await builds.cached(sooner);
    if (early !== undefined) {
      builds.cache.change(() => {
        early.lastUsedAt = new Date().toISOString();
        early.usageCount++;
      });
      change(createdBy, config, { record: early });
      return true;
    }
    const paths = await builds.layerPaths(draft);
    const transfer = await readTransfer(build, instruction, draft, paths, source);
    const { record, cached } = await layer(
      step,
      [instruction.link ? 'copy linked' : 'copy', transfer.content],
      createdBy,
      async (_output, store) => store((await draftLayer(transfer.write, instruction.link ? [] : paths)).pack(epoch)),
      { sooner, below },
    );
    change(createdBy, config, { record });
    return cached;
  };

  const workdirStep = async (step: Step, instruction: WorkdirInstruction): Promise<boolean> => {
    const { config } = draft.image;
    const workingDir = workdirOf(config, instruction.path);
    const createdBy = `WORKDIR ${workingDir}`;
    const before = draft;
    const { record, cached } = await layer(step, ['workdir', workingDir], createdBy, async (_output, store) => {
      const paths = await builds.layerPaths(before);
      const made = await draftLayer((layer) => {
        const path = layer.resolve(workingDir);
        if (layer.typeOf(path) !== 'directory') layer.makeDirectory(path);
      }, paths);
      return store(made.isEmpty ? undefined : made.pack(epoch));
    });
    change(createdBy, { ...config, workingDir }, { record });
    return cached;
  };

  const carryOut = async (step: Step, written: Instruction): Promise<boolean> => {
    const instruction = expandInstruction(written, variables.lookup, escapeToken);
    switch (instruction.kind) {
      case 'run':
        return runStep(step, instruction);
      case 'copy':
      case 'add':
        return copyStep(step, instruction);
      case 'workdir':
        return workdirStep(step, instruction);
      case 'arg':
        change(argText(variables.declare(instruction)), draft.image.config);
        return false;
      default: {
        if (instruction.kind === 'env') variables.assign(instruction.pairs);
        if (instruction.kind === 'cmd') setsCommand = true;
        const { config, createdBy, author } = configure(draft.image.config, instruction, {
          setsCommand,
          env: variables.environment,
        });
        change(createdBy, config, author === undefined ? {} : { author });
        return false;
      }
    }
  };

  const one = async (step: Step, instruction: Instruction): Promise<void> => {
    build.signal.throwIfAborted();
    // The other stage's time is not this step's; should it fail, this step tells.
    if (instruction.kind === 'copy' && instruction.from !== undefined)
      await start.sourceOf(instruction.from).catch(() => {});
    tell({ told: 'begin', step });
    try {
      const cached = await carryOut(step, instruction);
      tell({ told: 'end', step, cached, draft });
    } catch (cause) {
      const canceled = build.signal.aborted;
      const error = canceled ? cause : located(cause, instruction.range);
      tell({ told: 'fail', step, message: (error as Error).message, canceled });
      throw error;
    }
  };

  tell({ told: 'end', step: from, cached: true, draft: start.base });
  const triggers = start.triggers ? (base.image.config.onBuild ?? []) : [];
  if (triggers.length > 0) {
    const { onBuild: _done, ...config } = draft.image.config;
    draft = { image: { ...draft.image, config }, layers: draft.layers };
    const instructions = triggers.map((trigger) => parseTrigger(trigger, plan.stage.range));
    const steps = instructions.map((instruction, index) => ({
      ...from,
      id: `${from.id}-trigger-${index + 1}`,
      number: 0,
      text: instruction.text,
      name: worksOnFiles(instruction) ? `${from.name.split(' ')[0]} ONBUILD ${instruction.text}` : '',
    }));
    tell({ told: 'triggers', step: from, steps });
    for (const [index, instruction] of instructions.entries()) await one(steps[index]!, instruction);
  }
  for (const [index, instruction] of plan.stage.instructions.entries()) await one(plan.steps[index]!, instruction);
  if (start.isTarget && Object.keys(request.labels).length > 0) {
    const { config } = draft.image;
    const labels = Object.entries(request.labels).map(([name, value]) => ({ name, value }));
    const instruction = { kind: 'label', pairs: labels, text: '', range: plan.stage.range } as const;
    const labelled = configure(config, instruction, { setsCommand, env: config.env });
    change(labelled.createdBy, labelled.config);
  }
  return draft;
}

/** As docker's builders: what is built upon "scratch", or an image without a path, gets the usual one. */
function withPath(draft: Draft, changes: boolean): Draft {
  const { config } = draft.image;
  if (!changes || config.env.some((entry) => entry.startsWith('PATH='))) return draft;
  const env = [...config.env, 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];
  return { image: { ...draft.image, config: { ...config, env } }, layers: draft.layers };
}

function keyOf(parts: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** With the lines of an instruction, where it does not say others. */
export function located(cause: unknown, range: LineRange): unknown {
  if (!(cause instanceof GantryError)) return cause;
  return new GantryError(cause.code, cause.message, {
    hint: cause.hint,
    details: { ...range, ...cause.details },
    cause,
  });
}

function argText(args: ReturnType<StageVariables['declare']>): string {
  return `ARG ${args.map(({ name, value }) => (value === undefined ? name : `${name}=${value}`)).join(' ')}`;
}

/** As BuildKit's history has it: no flags but those that decide about the files. */
function transferText(instruction: CopyInstruction | AddInstruction): string {
  const { sources, heredocs, destination, chown, chmod } = instruction;
  const flags = [
    ...(chown === undefined ? [] : [`--chown=${chown}`]),
    ...(chmod === undefined ? [] : [`--chmod=${chmod}`]),
  ];
  return [...flags, ...sources, ...heredocs.map(({ name }) => name), destination].join(' ');
}
