// JSON text in linear memory ↔ a small tree, and a writer. Keys keep their order; numbers are f64 and, when whole, i64.
import { ByteWriter } from './bytes';

export const enum JsonKind {
  Null,
  Bool,
  Number,
  String,
  Array,
  Object,
}

export class Json {
  kind: JsonKind = JsonKind.Null;
  bool: bool = false;
  number: f64 = 0;
  /** The number as an integer: 0 where it is not whole, the nearest end where it does not fit. */
  integer: i64 = 0;
  /** A whole number of up to 2^64 - 1. */
  unsigned: u64 = 0;
  text: string = '';
  // Made when they are asked for: most values are scalars.
  private madeItems: Json[] | null = null;
  private madeKeys: string[] | null = null;

  /** Elements of an array, or values of an object beside `keys`. */
  get items(): Json[] {
    let made = this.madeItems;
    if (!made) this.madeItems = made = [];
    return made;
  }

  get keys(): string[] {
    let made = this.madeKeys;
    if (!made) this.madeKeys = made = [];
    return made;
  }

  /** Index of a key; -1 where it is missing. */
  private find(key: string): i32 {
    const keys = this.madeKeys;
    if (!keys) return -1;
    const length = key.length;
    for (let i = 0, count = keys.length; i < count; i++) {
      const known = unchecked(keys[i]);
      if (known.length == length && known == key) return i;
    }
    return -1;
  }

  /** The value of a key, or null where the key is missing or its value is null. */
  get(key: string): Json | null {
    const at = this.find(key);
    if (at < 0) return null;
    const found = this.items[at];
    return found.kind == JsonKind.Null ? null : found;
  }

  has(key: string): bool {
    return this.get(key) != null;
  }

  str(key: string, missing: string = ''): string {
    const found = this.get(key);
    return found && found.kind == JsonKind.String ? found.text : missing;
  }

  int(key: string, missing: i64 = 0): i64 {
    const found = this.get(key);
    return found && found.kind == JsonKind.Number ? found.integer : missing;
  }

  u64(key: string): u64 {
    const found = this.get(key);
    return found && found.kind == JsonKind.Number ? found.unsigned : 0;
  }

  float(key: string, missing: f64 = 0): f64 {
    const found = this.get(key);
    return found && found.kind == JsonKind.Number ? found.number : missing;
  }

  flag(key: string, missing: bool = false): bool {
    const found = this.get(key);
    return found && found.kind == JsonKind.Bool ? found.bool : missing;
  }

  /** Elements of an array under a key; empty where there is none. */
  list(key: string): Json[] {
    const found = this.get(key);
    return found && found.kind == JsonKind.Array ? found.items : [];
  }

  /** The object under a key; empty where there is none. */
  child(key: string): Json {
    const found = this.get(key);
    return found && found.kind == JsonKind.Object ? found : Json.object();
  }

  /** The strings of an array under a key. */
  strings(key: string): string[] {
    const values: string[] = [];
    const found = this.list(key);
    for (let i = 0; i < found.length; i++) values.push(found[i].text);
    return values;
  }

  static object(): Json {
    const value = new Json();
    value.kind = JsonKind.Object;
    return value;
  }

  static array(): Json {
    const value = new Json();
    value.kind = JsonKind.Array;
    return value;
  }

  static of(text: string): Json {
    const value = new Json();
    value.kind = JsonKind.String;
    value.text = text;
    return value;
  }

  static int(number: i64): Json {
    const value = new Json();
    value.kind = JsonKind.Number;
    value.number = <f64>number;
    value.integer = number;
    value.unsigned = <u64>number;
    return value;
  }

  static bool(truth: bool): Json {
    const value = new Json();
    value.kind = JsonKind.Bool;
    value.bool = truth;
    return value;
  }

  static strings(values: string[]): Json {
    const list = Json.array();
    for (let i = 0; i < values.length; i++) list.items.push(Json.of(values[i]));
    return list;
  }

  /** Sets a key; an earlier value is replaced. Returns this. */
  set(key: string, value: Json): Json {
    const at = this.find(key);
    if (at >= 0) {
      this.items[at] = value;
      return this;
    }
    this.keys.push(key);
    this.items.push(value);
    return this;
  }

  push(value: Json): Json {
    this.items.push(value);
    return this;
  }
}

/** Parses UTF-8 JSON (RFC 8259) at `pointer`; null where it is malformed or deeper than 64 levels. */
export function parseJson(pointer: usize, length: i32): Json | null {
  const parser = new Parser(pointer, pointer + length);
  const value = parser.value(0);
  parser.space();
  return value && parser.at == parser.end ? value : null;
}

class Parser {
  constructor(
    public at: usize,
    public end: usize,
  ) {}

  private peek(): i32 {
    return this.at < this.end ? load<u8>(this.at) : -1;
  }

  space(): void {
    while (this.at < this.end) {
      const c = load<u8>(this.at);
      if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return;
      this.at++;
    }
  }

  private word(word: string): bool {
    for (let i = 0; i < word.length; i++) {
      if (this.peek() != word.charCodeAt(i)) return false;
      this.at++;
    }
    return true;
  }

  value(depth: i32): Json | null {
    if (depth > 64) return null;
    this.space();
    const c = this.peek();
    if (c == 0x7b) return this.object(depth);
    if (c == 0x5b) return this.array(depth);
    if (c == 0x22) {
      const value = Json.of('');
      return this.string(value) ? value : null;
    }
    if (c == 0x74) return this.word('true') ? Json.bool(true) : null;
    if (c == 0x66) return this.word('false') ? Json.bool(false) : null;
    if (c == 0x6e) return this.word('null') ? new Json() : null;
    return this.number();
  }

  private object(depth: i32): Json | null {
    const result = Json.object();
    this.at++;
    this.space();
    if (this.peek() == 0x7d) {
      this.at++;
      return result;
    }
    const key = Json.of('');
    while (true) {
      this.space();
      if (this.peek() != 0x22 || !this.string(key)) return null;
      this.space();
      if (this.peek() != 0x3a) return null;
      this.at++;
      const value = this.value(depth + 1);
      if (!value) return null;
      result.keys.push(key.text);
      result.items.push(value);
      this.space();
      const c = this.peek();
      this.at++;
      if (c == 0x7d) return result;
      if (c != 0x2c) return null;
    }
  }

  private array(depth: i32): Json | null {
    const result = Json.array();
    this.at++;
    this.space();
    if (this.peek() == 0x5d) {
      this.at++;
      return result;
    }
    while (true) {
      const value = this.value(depth + 1);
      if (!value) return null;
      result.items.push(value);
      this.space();
      const c = this.peek();
      this.at++;
      if (c == 0x5d) return result;
      if (c != 0x2c) return null;
    }
  }

  /** Reads a string into `into.text`; false where it is malformed. */
  private string(into: Json): bool {
    this.at++;
    const start = this.at;
    while (this.at < this.end) {
      const c = load<u8>(this.at);
      if (c == 0x22) {
        into.text = String.UTF8.decodeUnsafe(start, this.at - start);
        this.at++;
        return true;
      }
      if (c == 0x5c) return this.escaped(start, into);
      if (c < 0x20) return false;
      this.at++;
    }
    return false;
  }

  private escaped(start: usize, into: Json): bool {
    let text = '';
    let from = start;
    while (this.at < this.end) {
      const c = load<u8>(this.at);
      if (c < 0x20) return false;
      if (c != 0x22 && c != 0x5c) {
        this.at++;
        continue;
      }
      text += String.UTF8.decodeUnsafe(from, this.at - from);
      this.at++;
      if (c == 0x22) {
        into.text = text;
        return true;
      }
      const escape = this.peek();
      this.at++;
      if (escape == 0x75) {
        const unit = this.hex4();
        if (unit < 0) return false;
        text += String.fromCharCode(unit);
      } else {
        const index = '"\\/bfnrt'.indexOf(String.fromCharCode(escape));
        if (index < 0) return false;
        text += '"\\/\b\f\n\r\t'.charAt(index);
      }
      from = this.at;
    }
    return false;
  }

  private hex4(): i32 {
    let unit = 0;
    for (let i = 0; i < 4; i++) {
      const c = this.peek();
      this.at++;
      if (c >= 0x30 && c <= 0x39) unit = (unit << 4) | (c - 0x30);
      else if ((c | 0x20) >= 0x61 && (c | 0x20) <= 0x66) unit = (unit << 4) | ((c | 0x20) - 0x57);
      else return -1;
    }
    return unit;
  }

  private number(): Json | null {
    const start = this.at;
    let whole = true;
    while (this.at < this.end) {
      const c = load<u8>(this.at);
      if (c == 0x2e || c == 0x65 || c == 0x45) whole = false;
      else if ((c < 0x30 || c > 0x39) && c != 0x2d && c != 0x2b) break;
      this.at++;
    }
    if (this.at == start) return null;
    const text = String.UTF8.decodeUnsafe(start, this.at - start);
    const value = new Json();
    value.kind = JsonKind.Number;
    value.number = parseFloat(text);
    if (isNaN(value.number)) return null;
    if (value.number >= 9223372036854775807.0) value.integer = i64.MAX_VALUE;
    else if (value.number <= -9223372036854775808.0) value.integer = i64.MIN_VALUE;
    else if (whole) value.integer = I64.parseInt(text);
    else if (value.number == trunc(value.number)) value.integer = <i64>value.number;
    value.unsigned = whole && value.integer == i64.MAX_VALUE && text.length <= 20 ? U64.parseInt(text) : value.integer;
    return value;
  }
}

/** Writes a tree as compact JSON. */
export function writeJson(out: ByteWriter, value: Json): void {
  if (value.kind == JsonKind.Null) out.text('null');
  else if (value.kind == JsonKind.Bool) out.text(value.bool ? 'true' : 'false');
  else if (value.kind == JsonKind.Number) out.text(wholeText(value));
  else if (value.kind == JsonKind.String) writeString(out, value.text);
  else {
    const isObject = value.kind == JsonKind.Object;
    out.u8(isObject ? 0x7b : 0x5b);
    for (let i = 0; i < value.items.length; i++) {
      if (i > 0) out.u8(0x2c);
      if (isObject) {
        writeString(out, value.keys[i]);
        out.u8(0x3a);
      }
      writeJson(out, value.items[i]);
    }
    out.u8(isObject ? 0x7d : 0x5d);
  }
}

function wholeText(value: Json): string {
  if (<f64>value.integer == value.number && value.integer != i64.MAX_VALUE) return value.integer.toString();
  return <f64>value.unsigned == value.number ? value.unsigned.toString() : value.number.toString();
}

function writeString(out: ByteWriter, text: string): void {
  out.u8(0x22);
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x20 && c != 0x22 && c != 0x5c) continue;
    out.text(text.substring(from, i));
    from = i + 1;
    out.u8(0x5c);
    if (c == 0x22 || c == 0x5c) out.u8(c);
    else {
      out.text('u00');
      out.u8('0123456789abcdef'.charCodeAt(c >> 4));
      out.u8('0123456789abcdef'.charCodeAt(c & 15));
    }
  }
  out.text(text.substring(from));
  out.u8(0x22);
}
