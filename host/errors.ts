// The one error class and the one table of codes: code → exit status of the CLI, status of the HTTP answer.

/** Exit statuses follow docker-run(1): 125 is ours, 126 "cannot be invoked", 127 "not found". */
export const ERRORS = {
  INVALID_ARGUMENT: { exit: 125, http: 400 },
  INVALID_ARCHIVE: { exit: 125, http: 400 },
  IMAGE_NOT_FOUND: { exit: 125, http: 404 },
  CONTAINER_NOT_FOUND: { exit: 125, http: 404 },
  NETWORK_NOT_FOUND: { exit: 125, http: 404 },
  VOLUME_NOT_FOUND: { exit: 125, http: 404 },
  EXEC_NOT_FOUND: { exit: 125, http: 404 },
  PATH_NOT_FOUND: { exit: 125, http: 404 },
  NAME_IN_USE: { exit: 125, http: 409 },
  INVALID_STATE: { exit: 125, http: 409 },
  OTHER_VERSION: { exit: 125, http: 409 },
  IN_USE: { exit: 125, http: 409 },
  PORT_IN_USE: { exit: 125, http: 500 },
  COMMAND_NOT_EXECUTABLE: { exit: 126, http: 400 },
  COMMAND_NOT_FOUND: { exit: 127, http: 400 },
  PLAN_REFUSED: { exit: 125, http: 400 },
  PLAN_FAILED: { exit: 125, http: 500 },
  DIGEST_MISMATCH: { exit: 125, http: 500 },
  REGISTRY_FAILED: { exit: 125, http: 500 },
  AUTH_FAILED: { exit: 125, http: 401 },
  PERMISSION_DENIED: { exit: 125, http: 403 },
  DISK_FULL: { exit: 125, http: 507 },
  BACKEND_UNAVAILABLE: { exit: 125, http: 503 },
  ENGINE_UNREACHABLE: { exit: 125, http: 503 },
  STATE_DAMAGED: { exit: 125, http: 500 },
  WRONG_METHOD: { exit: 125, http: 405 },
  TIMED_OUT: { exit: 125, http: 408 },
  TOO_LARGE: { exit: 125, http: 413 },
  BUILD_FAILED: { exit: 1, http: 500 },
  NOT_IN_SWARM: { exit: 125, http: 503 },
  UNSUPPORTED: { exit: 125, http: 501 },
  INTERNAL: { exit: 125, http: 500 },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** For machines: the op index and errno of a failed plan, the path or value that was refused. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

export interface GantryErrorOptions {
  /** What the user can do next, one sentence without a final period. */
  hint?: string | undefined;
  details?: ErrorDetails | undefined;
  cause?: unknown;
}

/** `message` names the action and the object: `Cannot pull "alpine:3.99": registry replied 404 for the manifest`. */
export class GantryError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: ErrorDetails | undefined;

  constructor(code: ErrorCode, message: string, { hint, details, cause }: GantryErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'GantryError';
    this.code = code;
    this.hint = hint;
    this.details = details;
  }

  get exitStatus(): number {
    return ERRORS[this.code].exit;
  }

  get httpStatus(): number {
    return ERRORS[this.code].http;
  }
}
