// What a refusal of the core becomes. Types only.
import type { ErrorCode } from '../errors.ts';

export interface Refusal {
  error: ErrorCode;
  message: (field: string, value: string, detail: string) => string;
  hint?: string | ((field: string, value: string, detail: string) => string);
}
