// Lists that a registry gives in pages: each answer's Link header leads to the next one (distribution-spec; RFC 8288).
import { GantryError } from '../../errors.ts';
import { type Answer, readBody } from './transport.ts';
import type { Ask, Session } from './registry-session.ts';

/** More pages than this come from a registry that leads nowhere. */
const PAGES_MAX = 1000;

export interface Page {
  bytes: Buffer;
  headers: Answer['headers'];
}

/**
 * @param limit bytes of a page.
 * @throws {GantryError} REGISTRY_FAILED where the pages go round in a circle.
 */
export async function* pagesOf(session: Session, first: string, limit: number, ask: Ask = {}): AsyncGenerator<Page> {
  const seen = new Set<string>();
  let page: string | URL | undefined = first;
  while (page !== undefined) {
    if (seen.has(String(page)) || seen.size === PAGES_MAX)
      throw new GantryError('REGISTRY_FAILED', `Cannot read the list of "${session.name}": its pages do not end`);
    seen.add(String(page));
    const { status, body, headers } = await session.request(page, ask);
    if (status >= 300) {
      body.resume();
      return;
    }
    const bytes = await readBody(body, limit).catch((error) => {
      throw session.unreachable(error as Error);
    });
    yield { bytes, headers };
    const [, next] = /<([^>]+)>\s*;\s*rel="?next"?/.exec(String(headers.link ?? '')) ?? [];
    page = next === undefined ? undefined : new URL(next, session.base());
  }
}
