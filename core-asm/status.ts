// How the core says no, or not quite: a code with the field, the value and a bound; the host makes the sentence.
import { ByteWriter } from './bytes';

let code: string = '';
let field: string = '';
let value: string = '';
let detail: string = '';

let warned: string[] = [];

/** Forgets what an earlier call said. Called at the start of every call. */
export function clearRefusal(): void {
  code = field = value = detail = '';
  warned = [];
}

/** Notes what is carried out otherwise than asked: code, field, value and what it became, for host/core/warnings.ts. */
export function warn(newCode: string, newField: string, newValue: string, newDetail: string): void {
  warned.push(newCode);
  warned.push(newField);
  warned.push(newValue);
  warned.push(newDetail);
}

/** Four strings a warning, as warn() took them. */
export function warnings(): string[] {
  return warned;
}

/**
 * Refuses the input; the first refusal stands. `code` is a key of host/core/refusals.ts, `field` the input's path
 * ("memory", "mounts[2].target"), `value` what was given, `detail` the bound or the reason.
 */
export function refuse(newCode: string, newField: string, newValue: string = '', newDetail: string = ''): void {
  if (code.length > 0) return;
  code = newCode;
  field = newField;
  value = newValue;
  detail = newDetail;
}

export function refused(): bool {
  return code.length > 0;
}

/** Four NUL-terminated UTF-8 strings: code, field, value, detail. */
export function writeRefusal(out: ByteWriter): void {
  out.cstring(code);
  out.cstring(field);
  out.cstring(value);
  out.cstring(detail);
}
