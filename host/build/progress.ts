// What a build tells while it runs: JSON lines of the answer to POST /build, for a client that asks for this type. No code here.
// Docker's clients get "Step 1/4 : …" made of the same events.

/** Who sends this in Accept is answered in these events. */
export type BuildEventsType = 'application/vnd.gantry.build-events+json';

/** Milliseconds since the epoch, with fractions. */
type Time = number;

/**
 * A step. Told when it is known and whenever something changes; a later one of the same id replaces the earlier whole.
 * Names are BuildKit's: "[internal] load metadata for docker.io/library/debian:12", "[2/4] RUN make", "[base 2/4] RUN make" where
 * there are several stages (of two numbers the longer one decides the width of both: "[base  2/10]"), "exporting to image".
 * The client itself shows how the context is sent.
 */
export interface VertexEvent {
  type: 'vertex';
  /** Unique in the build, never shown. */
  id: string;
  name: string;
  /** Undefined: it waits. */
  started?: Time;
  completed?: Time;
  /** Nothing had to be done. */
  cached?: boolean;
  /** Why it failed, one sentence; "CANCELED" where another's failure ended it. */
  error?: string;
}

/** A part of a step that is counted: a layer that is fetched, bytes of a download. A later one of the same id replaces it. */
export interface StatusEvent {
  type: 'status';
  vertex: string;
  /** Unique in its vertex, and shown: "sha256:… 12.3MB / 40MB 2.1s". */
  id: string;
  current?: number;
  /** Bytes; undefined where it is not known. */
  total?: number;
  started?: Time;
  completed?: Time;
}

/** What a step has written, as it came: not by lines. */
export interface LogEvent {
  type: 'log';
  vertex: string;
  stream: 'stdout' | 'stderr';
  text: string;
  time: Time;
}

/** A note on the Dockerfile; the build goes on. */
export interface WarningEvent {
  type: 'warning';
  message: string;
  /** BuildKit's name of the check, or empty. */
  rule: string;
  range?: SourceRange;
}

/** The last event of a build that worked. */
export interface ResultEvent {
  type: 'result';
  /** "sha256:…". */
  imageId: string;
  /** Names it was given, normalized: "docker.io/library/app:latest". */
  names: string[];
}

/** The last event of a build that failed. */
export interface FailureEvent {
  type: 'error';
  /** As an error's message, without the excerpt. */
  message: string;
  /** As in other answers of the API. */
  code?: string;
  hint?: string;
  /** Exit status of the command that failed, where one did. */
  exitCode?: number;
  range?: SourceRange;
}

/** Lines of the Dockerfile, with what stands around them. */
export interface SourceRange {
  /** The Dockerfile's name. */
  file: string;
  /** First and last line that is meant, counted from 1. */
  start: number;
  end: number;
  /** Number of the first line of `lines`. */
  first: number;
  /** The lines meant and two or three before and after. */
  lines: string[];
}

export type BuildEvent = VertexEvent | StatusEvent | LogEvent | WarningEvent | ResultEvent | FailureEvent;
