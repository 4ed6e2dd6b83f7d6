// The resolvers of running containers in user-defined networks: this process answers what they carry to it.
import { existsSync } from 'node:fs';
import type { Backend, ResolverLink } from '../../backend.ts';
import { planWire } from '../../core/network-plans.ts';
import type { ContainerRecord } from '../record.ts';
import { visibleTo } from './names.ts';
import { nameServers } from './network-files.ts';
import { RESOLVER, resolverOf } from './plan-network.ts';
import type { Segment } from './segment.ts';

export interface Resolvers {
  /** Answers the container's questions until `leave`. Its resolver may have to be made anew first. */
  serve(record: ContainerRecord): void;
  serves(id: string): boolean;
  leave(id: string): void;
  close(): void;
}

/** Loaded with the first resolver, not with the first question: an upgrade may have taken these files away by then. */
let loading: Promise<typeof import('./dns-answer.ts') & typeof import('./dns-forward.ts')> | undefined;

async function load(): NonNullable<typeof loading> {
  loading ??= Promise.all([import('./dns-answer.ts'), import('./dns-forward.ts')]).then(([answers, forward]) => ({
    ...answers,
    ...forward,
  }));
  return loading;
}

/** Where a resolver is gone although its container runs, it is looked for again after so long. */
const AGAIN_MS = 1000;

export function createResolvers(
  backend: Backend,
  segments: () => Segment[],
  files: (record: ContainerRecord) => { resolver: string; controlSocket: string },
): Resolvers {
  const served = new Map<string, { link?: ResolverLink }>();
  let turn = 0;

  const answer = async (record: ContainerRecord, question: Uint8Array, tcp: boolean): Promise<Uint8Array> => {
    const dns = await load();
    const asked = dns.readQuestion(question);
    if (asked === undefined) return dns.refuse(question);
    const local = dns.answerLocally(asked, { id: record.id, visible: visibleTo(record.id, segments()), tcp }, turn++);
    if (local !== undefined) return local;
    // Who can reach nobody outside learns nothing from outside either.
    const leads = segments().some(
      ({ members, record: network }) => members.has(record.id) && network?.internal !== true,
    );
    if (!leads) return dns.fail(asked);
    const servers = nameServers(record.config).filter((server) => server !== RESOLVER);
    return (await dns.forward(question, servers, tcp)) ?? dns.fail(asked);
  };

  const open = async (record: ContainerRecord, entry: { link?: ResolverLink }): Promise<void> => {
    load().catch(() => {});
    const { resolver, controlSocket } = files(record);
    const link = (): Promise<ResolverLink> =>
      backend.resolve(resolver, (question, tcp) => answer(record, question, tcp));
    try {
      entry.link = await link().catch(async () => {
        const wiring = { removed: [], interfaces: [], routes: [], resolver: resolverOf(resolver, record.id, true) };
        await backend.wire(controlSocket, planWire(await backend.facts(), wiring));
        return link();
      });
      if (served.get(record.id) !== entry) entry.link.close();
      else await entry.link.closed;
    } catch {
      // The container is ending, or the next try succeeds.
    }
    if (served.get(record.id) === entry) setTimeout(() => again(record, entry), AGAIN_MS).unref();
  };
  const again = (record: ContainerRecord, entry: { link?: ResolverLink }): void => {
    if (served.get(record.id) === entry) void open(record, entry);
  };

  const leave = (id: string): void => {
    served.get(id)?.link?.close();
    served.delete(id);
  };

  return {
    serve(record) {
      if (served.has(record.id)) return;
      if (visibleTo(record.id, segments()).length === 0 && !existsSync(files(record).resolver)) return;
      const entry = {};
      served.set(record.id, entry);
      void open(record, entry);
    },
    serves: (id) => served.has(id),
    leave,
    close() {
      for (const id of [...served.keys()]) leave(id);
    },
  };
}
