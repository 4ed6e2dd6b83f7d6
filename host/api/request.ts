// Who asks, and for what: the parts of a request that every route has in common.
import type { IncomingMessage } from 'node:http';
import { GantryError } from '../errors.ts';
import type { Upgraded } from './http.ts';
import { API_VERSION } from './versions.ts';

/**
 * No web page speaks to an engine: its requests would come with the user's own rights. Browsers mark what pages send with
 * Origin or Sec-Fetch-Site, and name the host that the page believes in.
 * @throws {GantryError} PERMISSION_DENIED.
 */
export function checkCaller({ headers }: IncomingMessage, isOwnName: (host: string) => boolean): void {
  const mark = headers.origin ?? headers['sec-fetch-site'];
  if (mark !== undefined)
    throw new GantryError('PERMISSION_DENIED', `Refused a request of the web page "${mark}": browsers are not served`);
  if (!isOwnName(headers.host ?? ''))
    throw new GantryError(
      'PERMISSION_DENIED',
      `Refused a request to the host "${headers.host}": not a name of this one`,
      {
        hint: "Use a name that is in the server's certificate, or an address",
      },
    );
}

/** Version and path of a URL; its parameters are put into `query`. @throws {GantryError} INVALID_ARGUMENT. */
export function readTarget(url: string, query: URLSearchParams): { version: string; path: string } {
  const own = url.replace(/^https?:\/\/[^/?]*/i, '');
  const mark = own.indexOf('?');
  const [path, text] = mark < 0 ? [own, ''] : [own.slice(0, mark), own.slice(mark + 1)];
  const broken = /%(?![0-9a-f]{2}).{0,2}/i.exec(text);
  if (broken !== null)
    throw new GantryError('INVALID_ARGUMENT', `Cannot read the parameters: invalid URL escape "${broken[0]}"`);
  for (const [name, value] of new URLSearchParams(text)) query.append(name, value);
  const [, version = API_VERSION, rest = '/'] = /^(?:\/v([0-9][0-9.]*)(?=\/|$))?(\/.*)?$/.exec(path) ?? [];
  return { version, path: rest };
}

/** Docker's clients ask for "tcp"; as for docker whatever is not a websocket is that. */
export function wantedUpgrade({ headers }: IncomingMessage): Upgraded['protocol'] {
  return /^websocket$/i.test(headers.upgrade ?? '') ? 'websocket' : 'tcp';
}
