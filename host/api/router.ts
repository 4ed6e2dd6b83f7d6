// Method and path → route. Static parts win over named ones.
import type { Route } from './http.ts';

export interface Match {
  route: Route;
  params: Record<string, string>;
}

/** @returns a lookup; "wrong method" where only the path is known. */
export function createRouter(routes: Route[]): (method: string, path: string) => Match | 'wrong method' | undefined {
  const compiled = routes.map((route) => ({ route, pattern: compile(route.path) }));
  return (method, path) => {
    let known = false;
    for (const { route, pattern } of compiled) {
      const found = pattern.exec(path);
      if (found === null) continue;
      known = true;
      if (route.method !== method) continue;
      const params: Record<string, string> = {};
      for (const [name, value] of Object.entries(found.groups ?? {})) params[name] = decodeURIComponent(value);
      return { route, params };
    }
    return known ? 'wrong method' : undefined;
  };
}

function compile(path: string): RegExp {
  const parts = path.split('/').map((part) => {
    const [, name, rest] = /^:(\w+)(\*?)$/.exec(part) ?? [];
    if (name === undefined) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return rest === '*' ? `(?<${name}>.+)` : `(?<${name}>[^/]+)`;
  });
  return new RegExp(`^${parts.join('/')}$`);
}
