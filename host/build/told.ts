// What the solver tells while it works, with more than a client of either kind gets: routes make docker's lines or events of it.
// Types only.
import type { Draft } from '../image/builds.ts';
import type { WarningEvent } from './progress.ts';

/** One instruction, known before anything is done. */
export interface Step {
  /** Unique in the build. */
  id: string;
  /** Of the stages that are built, in order. */
  stage: number;
  /** Counted over all stages that are built, from 1, as docker's classic builder counts; 0 for a trigger of ONBUILD. */
  number: number;
  total: number;
  /** As written. */
  text: string;
  /** BuildKit's: "[base 2/4] RUN make"; empty where nothing is done but a change of the configuration. */
  name: string;
}

export type Told =
  /** All steps, the triggers of ONBUILD left out. */
  | { told: 'steps'; steps: Step[] }
  /** Of a base image, behind its FROM. */
  | { told: 'triggers'; step: Step; steps: Step[] }
  | { told: 'begin'; step: Step }
  /** A container has been started for it. */
  | { told: 'container'; step: Step; id: string }
  | { told: 'log'; step: Step; stream: 'stdout' | 'stderr'; text: string }
  | { told: 'status'; step: Step; id: string; status: string; current?: number; total?: number }
  | { told: 'end'; step: Step; cached: boolean; draft: Draft }
  | { told: 'fail'; step: Step; message: string; canceled: boolean }
  | { told: 'stage'; stage: number }
  | { told: 'export'; done: boolean; imageId?: string }
  | { told: 'warning'; warning: WarningEvent };

export type Tell = (told: Told) => void;
