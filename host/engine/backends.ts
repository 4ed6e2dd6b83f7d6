// Which backend runs a container: the engine's own, or another that its isolation names, opened with the first such container.
import type { Backend } from '../backend.ts';
import { GantryError } from '../errors.ts';
import type { Isolation } from '../types.ts';

/** Opens a backend. Rejects with the reason, as a GantryError, where this host has none. */
export type OpenBackend = () => Promise<Backend>;

export interface Backends {
  /** The engine's own: it has the layers, the volumes and the networks, and the containers that name no isolation. */
  readonly main: Backend;
  /** @throws {GantryError} BACKEND_UNAVAILABLE with every backend and what it lacks. */
  of(isolation: Isolation | undefined): Promise<Backend>;
  /** For a container that is there already: a backend that cannot be opened starts nothing and has nothing running. */
  known(isolation: Isolation | undefined): Promise<Backend>;
  close(): Promise<void>;
}

export function createBackends(main: Backend, others: Partial<Record<Isolation, OpenBackend>> = {}): Backends {
  const opened = new Map<Isolation, Promise<Backend>>();
  const isMain = (isolation: Isolation | undefined): boolean =>
    isolation === undefined || isolation === 'process' || (isolation === 'vm' && main.capabilities.name === 'vm');

  const open = (isolation: Isolation): Promise<Backend> => {
    const there = opened.get(isolation);
    if (there !== undefined) return there;
    const backend = others[isolation]?.() ?? Promise.reject(notHere(isolation));
    opened.set(isolation, backend);
    backend.catch(() => opened.delete(isolation)); // What it lacks may come.
    return backend;
  };

  const unavailable = async (isolation: Isolation, cause: Error): Promise<GantryError> => {
    const lines = [`process: is the engine's own (${main.capabilities.name})`];
    for (const name of Object.keys(others) as Isolation[]) {
      const reason =
        name === isolation
          ? cause
          : await open(name).then(
              () => undefined,
              (error: Error) => error,
            );
      const hint = reason instanceof GantryError && reason.hint !== undefined ? ` (${reason.hint})` : '';
      lines.push(`${name}: ${reason === undefined ? 'is there' : reason.message + hint}`);
    }
    if (others[isolation] === undefined) lines.push(`${isolation}: ${cause.message}`);
    return new GantryError('BACKEND_UNAVAILABLE', `Cannot isolate by "${isolation}"; ${lines.join('; ')}`, {
      hint: cause instanceof GantryError ? cause.hint : undefined,
      cause,
    });
  };

  const of = async (isolation: Isolation | undefined): Promise<Backend> => {
    if (isolation === undefined || isMain(isolation)) return main;
    return open(isolation).catch(async (error: Error) => {
      throw await unavailable(isolation, error);
    });
  };

  return {
    main,
    of,
    known: (isolation) => of(isolation).catch((error: Error) => absent(main, error)),
    async close() {
      for (const backend of opened.values()) await backend.then((there) => there.close()).catch(() => {});
      await main.close();
    },
  };
}

function notHere(isolation: Isolation): GantryError {
  if (isolation === 'vm')
    return new GantryError('BACKEND_UNAVAILABLE', 'This engine has no virtual machine', {
      hint: 'Start the engine with GANTRY_BACKEND=vm: all its containers run in one',
    });
  return new GantryError('BACKEND_UNAVAILABLE', `This engine has no backend for "${isolation}"`);
}

/** In place of a backend that is not there: containers of it can be listed and removed. */
function absent(main: Backend, error: Error): Backend {
  const refuse = (): Promise<never> => Promise.reject(error);
  return {
    ...main,
    ...{ start: refuse, exec: refuse, archive: refuse, stats: refuse, processes: refuse, processTable: refuse },
    ...{ pause: refuse, unpause: refuse, run: refuse, reserveSlot: () => undefined },
    adopt: async () => undefined,
    isPaused: async () => false,
    killAll: async () => {},
  };
}
