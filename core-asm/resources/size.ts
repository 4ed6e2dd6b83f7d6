// Sizes and CPU counts as docker takes them: "512m", "1.5g", "0.5".
import { Json, JsonKind } from '../json';
import { refuse } from '../status';

/** Bytes of a size: a number, or text with an optional suffix (b k m g t p, "kb", "kib"; 1024-based). Refuses anything else. */
export function parseSize(value: Json, field: string): i64 {
  if (value.kind == JsonKind.Number) {
    if (value.number != trunc(value.number)) refuse('SIZE_SYNTAX', field, value.number.toString());
    if (abs(value.number) >= 9.2e18) refuse('SIZE_TOO_LARGE', field, value.number.toString());
    return value.integer;
  }
  if (value.kind != JsonKind.String) {
    refuse('SIZE_SYNTAX', field, '');
    return 0;
  }
  return parseSizeText(value.text, field);
}

export function parseSizeText(text: string, field: string): i64 {
  if (text == '-1') return -1;
  let end = 0;
  let dots = 0;
  while (end < text.length) {
    const c = text.charCodeAt(end);
    if (c == 0x2e) dots++;
    else if (c < 0x30 || c > 0x39) break;
    end++;
  }
  const suffix = text.substring(end).trim().toLowerCase();
  const shift = suffixShift(suffix);
  if (end == 0 || dots > 1 || shift < 0 || text.substring(0, end) == '.') {
    refuse('SIZE_SYNTAX', field, text);
    return 0;
  }
  if (dots == 0 && end < 19) {
    const whole = I64.parseInt(text.substring(0, end));
    if (whole > i64.MAX_VALUE >> shift) refuse('SIZE_TOO_LARGE', field, text);
    return whole << shift;
  }
  const bytes = parseFloat(text.substring(0, end)) * <f64>((<i64>1) << shift);
  if (bytes >= 9.2e18) {
    refuse('SIZE_TOO_LARGE', field, text);
    return 0;
  }
  return <i64>bytes;
}

function suffixShift(suffix: string): i32 {
  if (suffix == '' || suffix == 'b') return 0;
  const unit = suffix.charAt(0);
  const rest = suffix.substring(1);
  if (rest != '' && rest != 'b' && rest != 'ib') return -1;
  const at = 'kmgtp'.indexOf(unit);
  return at < 0 ? -1 : (at + 1) * 10;
}

/** 1e-9 CPUs of "0.5"; at most nine decimals. */
export function parseCpus(text: string, field: string): i64 {
  const parts = text.split('.');
  const fraction = parts.length > 1 ? parts[1] : '';
  if (
    parts.length > 2 ||
    (parts[0] + fraction).length == 0 ||
    !digits(parts[0]) ||
    !digits(fraction) ||
    parts[0].length > 6
  ) {
    refuse('CPUS_SYNTAX', field, text);
    return 0;
  }
  if (fraction.length > 9) {
    refuse('CPUS_TOO_PRECISE', field, text);
    return 0;
  }
  return I64.parseInt('0' + parts[0]) * 1000000000 + I64.parseInt((fraction + '000000000').substring(0, 9));
}

function digits(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x30 || c > 0x39) return false;
  }
  return true;
}
