// What shows a build while it runs.
import type { BuildEvent } from '../../build/progress.ts';

export interface Display {
  event(event: BuildEvent): void;
  /** Nothing follows: the last picture, whole. */
  end(): void;
  /** The last lines of the step that failed, as its failure's text shows them. */
  failedOutput(): { name: string; lines: string[] } | undefined;
}

/** A display of nothing, for --quiet. */
export const noDisplay: Display = { event: () => {}, end: () => {}, failedOutput: () => undefined };
