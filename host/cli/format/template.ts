// Go's text templates, as far as docker's --format needs them: fields, pipes, if, range, and a few functions.
import { GantryError } from '../../errors.ts';
import { goJson } from './go-json.ts';

type Value = unknown;
type Scope = { dot: Value; variables: Record<string, Value> };

interface Action {
  kind: 'text' | 'print' | 'if' | 'range' | 'with';
  text: string;
  body: Action[];
  otherwise: Action[];
}

/** @throws {GantryError} INVALID_ARGUMENT where the template is malformed or names a field that is not there. */
export function compileTemplate(source: string): (data: Value) => string {
  const tokens = source.split(/(\{\{-?.*?-?\}\})/s).map((part) => part.replace(/\\t/g, '\t').replace(/\\n/g, '\n'));
  const position = { at: 0 };
  const actions = parseActions(tokens, position, source);
  if (position.at < tokens.length) throw malformed(source, 'unexpected {{end}}');
  return (data) => render(actions, { dot: data, variables: { $: data } });
}

function malformed(source: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Cannot read the template "${source}": ${reason}`, {
    hint: 'Such as {{.Name}} or {{json .State}}',
  });
}

function parseActions(tokens: string[], position: { at: number }, source: string): Action[] {
  const actions: Action[] = [];
  while (position.at < tokens.length) {
    const token = tokens[position.at]!;
    if (!token.startsWith('{{')) {
      if (token.includes('{{')) throw malformed(source, 'unclosed action');
      if (token !== '') actions.push({ kind: 'text', text: token, body: [], otherwise: [] });
      position.at++;
      continue;
    }
    if (!token.endsWith('}}')) throw malformed(source, 'unclosed action');
    const text = token.replace(/^\{\{-?\s*|\s*-?\}\}$/g, '');
    if (text === 'end' || text.startsWith('else')) return actions;
    position.at++;
    const [, kind, rest = ''] = /^(if|range|with)\s+(.*)$/s.exec(text) ?? [];
    if (kind === undefined) {
      if (!text.startsWith('/*')) actions.push({ kind: 'print', text, body: [], otherwise: [] });
      continue;
    }
    const body = parseActions(tokens, position, source);
    const closing = (tokens[position.at] ?? '').replace(/^\{\{-?\s*|\s*-?\}\}$/g, '');
    let otherwise: Action[] = [];
    if (closing.startsWith('else if ')) {
      tokens[position.at] = `{{${closing.slice('else '.length)}}}`;
      otherwise = parseActions(tokens, position, source);
      actions.push({ kind: kind as Action['kind'], text: rest, body, otherwise });
      continue;
    }
    if (closing === 'else') {
      position.at++;
      otherwise = parseActions(tokens, position, source);
    }
    if (position.at >= tokens.length) throw malformed(source, `{{${kind}}} without {{end}}`);
    position.at++;
    actions.push({ kind: kind as Action['kind'], text: rest, body, otherwise });
  }
  return actions;
}

function render(actions: Action[], scope: Scope): string {
  return actions.map((action) => renderOne(action, scope)).join('');
}

function renderOne({ kind, text, body, otherwise }: Action, scope: Scope): string {
  if (kind === 'text') return text;
  if (kind === 'range') return renderRange(text, body, otherwise, scope);
  const assigned = /^(\$\w+)\s*:?=\s*(.*)$/s.exec(text);
  const value = evaluate(assigned?.[2] ?? text, scope);
  if (assigned !== null) {
    scope.variables[assigned[1]!] = value;
    if (kind === 'print') return '';
  }
  if (kind === 'print') return show(value);
  if (!truthy(value)) return render(otherwise, scope);
  return render(body, kind === 'with' ? { ...scope, dot: value } : scope);
}

function renderRange(text: string, body: Action[], otherwise: Action[], scope: Scope): string {
  const [, key, item, expression = text] = /^(?:(\$\w+)\s*,\s*)?(\$\w+)\s*:=\s*(.*)$/s.exec(text) ?? [];
  const value = evaluate(expression, scope);
  const entries: [Value, Value][] = Array.isArray(value)
    ? value.map((entry, index) => [index, entry])
    : value && typeof value === 'object'
      ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
      : [];
  if (entries.length === 0) return render(otherwise, scope);
  return entries
    .map(([name, dot]) =>
      render(body, {
        dot,
        variables: { ...scope.variables, ...(key ? { [key]: name } : {}), ...(item ? { [item]: dot } : {}) },
      }),
    )
    .join('');
}

function truthy(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value && typeof value === 'object') return Object.keys(value).length > 0;
  return Boolean(value);
}

/** As Go's fmt prints: <no value>, [a b], map[k:v]. */
function show(value: Value): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(show).join(' ')}]`;
  if (typeof value === 'object')
    return `map[${Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => `${key}:${show(item)}`)
      .join(' ')}]`;
  return String(value);
}

const WORDS = /"(?:[^"\\]|\\.)*"|`[^`]*`|\(|\)|\||[^\s()|"`]+/g;

function evaluate(expression: string, scope: Scope): Value {
  const words = expression.match(WORDS) ?? [];
  const position = { at: 0 };
  const value = pipeline(words, position, scope);
  if (position.at < words.length) throw malformed(expression, `unexpected "${words[position.at]}"`);
  return value;
}

function pipeline(words: string[], position: { at: number }, scope: Scope): Value {
  let value: Value;
  let first = true;
  for (;;) {
    const terms: Value[] = [];
    let name: string | undefined;
    while (position.at < words.length && words[position.at] !== '|' && words[position.at] !== ')') {
      const word = words[position.at++]!;
      if (terms.length === 0 && name === undefined && word in functions) name = word;
      else if (word === '(') {
        let inner = pipeline(words, position, scope);
        const closing = words[position.at++] ?? '';
        if (!closing.startsWith(')')) throw malformed(words.join(' '), 'missing )');
        const path = words[position.at];
        if (path?.startsWith('.') && path.length > 1) {
          inner = field(inner, path);
          position.at++;
        }
        terms.push(inner);
      } else terms.push(term(word, scope));
    }
    if (!first) terms.push(value);
    const [head, ...more] = terms;
    if (name !== undefined) value = functions[name]!(...terms);
    else value = typeof head === 'function' ? (head as (...args: Value[]) => Value)(...more) : head;
    first = false;
    if (words[position.at] !== '|') return value;
    position.at++;
  }
}

function term(word: string, scope: Scope): Value {
  if (word.startsWith('"')) return JSON.parse(word) as string;
  if (word.startsWith('`')) return word.slice(1, -1);
  if (/^-?\d+(\.\d+)?$/.test(word)) return Number(word);
  if (word === 'true' || word === 'false') return word === 'true';
  if (word === 'nil') return null;
  if (word.startsWith('$')) {
    const dot = word.indexOf('.');
    const name = dot < 0 ? word : word.slice(0, dot);
    if (!(name in scope.variables)) throw malformed(word, `undefined variable "${name}"`);
    return dot < 0 ? scope.variables[name] : field(scope.variables[name], word.slice(dot));
  }
  if (word.startsWith('.')) return field(scope.dot, word);
  throw malformed(word, `function "${word}" not defined`);
}

function field(start: Value, path: string): Value {
  let value = start;
  for (const name of path.split('.').filter(Boolean)) {
    if (value === null || value === undefined) return undefined;
    if (typeof value !== 'object' || !(name in value))
      throw new GantryError('INVALID_ARGUMENT', `Cannot use the template: there is no field ${name}`, {
        hint: '{{json .}} shows what there is',
      });
    value = (value as Record<string, Value>)[name];
  }
  return value;
}

const text = (value: Value): string => (typeof value === 'string' ? value : show(value));

const functions: Record<string, (...args: Value[]) => Value> = {
  json: (value) => goJson(value),
  index: (value, ...keys) =>
    keys.reduce((found, key) => (found as Record<string, Value> | undefined | null)?.[key as string], value),
  len: (value) =>
    Array.isArray(value) || typeof value === 'string' ? value.length : Object.keys((value as object) ?? {}).length,
  join: (list, separator) => ((list as Value[] | null) ?? []).map(text).join(text(separator)),
  split: (value, separator) => text(value).split(text(separator)),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  title: (value) => text(value).replace(/\b\w/g, (letter) => letter.toUpperCase()),
  truncate: (value, length) => text(value).slice(0, Number(length)),
  pad: (value, before, after) => ' '.repeat(Number(before)) + text(value) + ' '.repeat(Number(after)),
  println: (...values) => `${values.map(show).join(' ')}\n`,
  print: (...values) => values.map(show).join(''),
  printf: (format, ...values) => {
    let at = 0;
    return text(format).replace(/%([-0]?\d*)([sdvqt%])/g, (_all, width: string, verb: string) => {
      if (verb === '%') return '%';
      const shown = verb === 'q' ? JSON.stringify(text(values[at++])) : show(values[at++]);
      if (width.startsWith('-')) return shown.padEnd(-Number(width));
      return shown.padStart(Number(width || 0), width.startsWith('0') ? '0' : ' ');
    });
  },
  eq: (first, ...others) => others.some((other) => other === first),
  ne: (first, second) => first !== second,
  lt: (first, second) => (first as number) < (second as number),
  le: (first, second) => (first as number) <= (second as number),
  gt: (first, second) => (first as number) > (second as number),
  ge: (first, second) => (first as number) >= (second as number),
  and: (...values) => values.find((value) => !truthy(value)) ?? values.at(-1),
  or: (...values) => values.find(truthy) ?? values.at(-1),
  not: (value) => !truthy(value),
};
