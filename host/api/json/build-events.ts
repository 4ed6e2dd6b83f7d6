// A build as our own client is told it: the events of host/build/progress.ts.
import type { BuildEvent, VertexEvent } from '../../build/progress.ts';
import type { Step, Told } from '../../build/told.ts';

export interface BuildEventStream {
  tell(told: Told): void;
}

const now = (): number => performance.timeOrigin + performance.now();

export function createBuildEvents(send: (event: BuildEvent) => void): BuildEventStream {
  const vertices = new Map<string, VertexEvent>();
  /** Parts of a pull that have begun. */
  const parts = new Map<string, number>();
  const change = (step: Pick<Step, 'id' | 'name'>, fields: Partial<VertexEvent>): void => {
    if (step.name === '') return;
    const vertex: VertexEvent = {
      ...(vertices.get(step.id) ?? { type: 'vertex', id: step.id, name: step.name }),
      ...fields,
    };
    vertices.set(step.id, vertex);
    send(vertex);
  };
  const exporting = { id: 'export', name: 'exporting to image' };
  return {
    tell(told) {
      switch (told.told) {
        case 'steps':
        case 'triggers':
          for (const step of told.steps) change(step, {});
          break;
        case 'begin':
          change(told.step, { started: now() });
          break;
        case 'log':
          send({ type: 'log', vertex: told.step.id, stream: told.stream, text: told.text, time: now() });
          break;
        case 'status': {
          const id = told.id || told.status;
          const started = parts.get(`${told.step.id} ${id}`) ?? now();
          parts.set(`${told.step.id} ${id}`, started);
          const { current, total } = told;
          const completed = /complete|exists/i.test(told.status) ? { completed: now() } : {};
          send({
            ...{ type: 'status', vertex: told.step.id, id, started, ...completed },
            ...(current === undefined ? {} : { current }),
            ...(total === undefined ? {} : { total }),
          });
          break;
        }
        case 'end':
          change(told.step, { completed: now(), ...(told.cached ? { cached: true } : {}) });
          break;
        case 'fail':
          change(told.step, { completed: now(), error: told.canceled ? 'CANCELED' : told.message });
          break;
        case 'export':
          change(exporting, told.done ? { completed: now() } : { started: now() });
          break;
        case 'warning':
          send(told.warning);
          break;
        default:
          break;
      }
    },
  };
}
