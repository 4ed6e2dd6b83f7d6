// Method and path → route. The first route that matches is taken.
import { GantryError } from '../errors.ts';
import type { Route } from './http.ts';

export interface Match {
  route: Route;
  params: Record<string, string>;
}

/** Docker's words. */
const NO_PAGE = 'page not found';

/** No name, ID or reference is longer; longer ones are refused before anything looks for them. */
const PARAM_MAX = 1024;

/** @returns a lookup. @throws {GantryError} PATH_NOT_FOUND, WRONG_METHOD; INVALID_ARGUMENT for escapes that mean nothing. */
export function createRouter(routes: Route[]): (method: string, path: string) => Match {
  const compiled = routes.map((route) => ({ route, pattern: compile(route.path) }));
  return (method, path) => {
    const methods: string[] = [];
    for (const { route, pattern } of compiled) {
      const found = pattern.exec(path);
      if (found === null) continue;
      methods.push(route.method);
      if (route.method !== method) continue;
      const params: Record<string, string> = {};
      for (const [name, value] of Object.entries(found.groups ?? {})) params[name] = decode(value);
      return { route, params };
    }
    if (methods.length === 0) throw new GantryError('PATH_NOT_FOUND', NO_PAGE);
    throw new GantryError('WRONG_METHOD', `Method not allowed: ${method} ${path}`, {
      details: { allow: [...new Set(methods)].join(', ') },
    });
  };
}

function compile(path: string): RegExp {
  const parts = path.split('/').map((part) => {
    const [, name, rest] = /^:(\w+)(\*?)$/.exec(part) ?? [];
    if (name === undefined) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return rest === '*' ? `(?<${name}>.+)` : `(?<${name}>[^/]+)`;
  });
  return new RegExp(`^${parts.join('/')}/?$`);
}

function decode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the path: invalid URL escape in "${text.slice(0, 100)}"`);
  }
  if (/[\u0000-\u001f\u007f]/.test(decoded))
    throw new GantryError('INVALID_ARGUMENT', 'Cannot read the path: it has control characters');
  if (decoded.length > PARAM_MAX)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the path: a name of ${decoded.length} characters`);
  return decoded;
}
