// Operations of Docker's API that are not carried out, each with its reason: as an engine that is in no swarm and has no
// plugins, else 501.
import { type ErrorCode, GantryError } from '../../errors.ts';
import { type Route, sendJson } from '../http.ts';

const noManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const oneMachine = 'gantry runs containers on one machine';

const refuse = (code: ErrorCode, message: string, reason: string, ...operations: string[]): Route[] =>
  operations.map((operation) => {
    const [method = '', path = ''] = operation.split(' ');
    return {
      method,
      path,
      refused: reason,
      handler: ({ params }) => {
        throw new GantryError(code, message.replace('NAME', params.name ?? params.id ?? ''));
      },
    };
  });

const swarm = [
  ...refuse(
    'NOT_IN_SWARM',
    noManager,
    'in no swarm',
    ...['GET /swarm', 'GET /swarm/unlockkey', 'POST /swarm/update', 'POST /swarm/unlock'],
    ...['GET /services', 'GET /services/:id', 'POST /services/create', 'POST /services/:id/update'],
    ...['DELETE /services/:id', 'GET /services/:id/logs'],
    ...['GET /nodes', 'GET /nodes/:id', 'DELETE /nodes/:id', 'POST /nodes/:id/update'],
    ...['GET /tasks', 'GET /tasks/:id', 'GET /tasks/:id/logs'],
    ...['GET /secrets', 'POST /secrets/create', 'GET /secrets/:id', 'DELETE /secrets/:id', 'POST /secrets/:id/update'],
    ...['GET /configs', 'POST /configs/create', 'GET /configs/:id', 'DELETE /configs/:id', 'POST /configs/:id/update'],
  ),
  ...refuse('NOT_IN_SWARM', 'This node is not part of a swarm', 'in no swarm', 'POST /swarm/leave'),
  ...refuse('UNSUPPORTED', `Cannot form a swarm: ${oneMachine}`, oneMachine, 'POST /swarm/init', 'POST /swarm/join'),
];

const plugins: Route[] = [
  { method: 'GET', path: '/plugins', handler: (call) => sendJson(call, []) },
  ...refuse(
    'UNSUPPORTED',
    'Cannot install a plugin: plugins are not supported',
    'no plugins',
    ...['GET /plugins/privileges', 'POST /plugins/pull', 'POST /plugins/create'],
  ),
  ...refuse(
    'PATH_NOT_FOUND',
    'plugin "NAME" not found',
    'no plugins',
    ...['GET /plugins/:name*/json', 'POST /plugins/:name*/enable', 'POST /plugins/:name*/disable'],
    ...['POST /plugins/:name*/push', 'POST /plugins/:name*/upgrade', 'POST /plugins/:name*/set'],
    'DELETE /plugins/:name*',
  ),
];

const noSession = 'BuildKit sessions are not spoken';
const build = refuse(
  'UNSUPPORTED',
  'Cannot open a BuildKit session: build with DOCKER_BUILDKIT=0 in the environment, or with "gantry build"',
  noSession,
  ...['POST /build/cancel', 'POST /session', 'POST /grpc'],
);

const checkpoints = refuse(
  'UNSUPPORTED',
  'Cannot write a container to disk as it runs: that is work for CRIU, which gantry does not drive; "pause" keeps it in memory, "commit" keeps its files',
  'CRIU is not driven',
  ...['GET /containers/:id/checkpoints', 'POST /containers/:id/checkpoints'],
  'DELETE /containers/:id/checkpoints/:checkpoint',
);

/** A row here goes without notice once a route of its own carries it out. */
export function refusedRoutes(): Route[] {
  return [
    ...swarm,
    ...plugins,
    ...build,
    ...checkpoints,
    ...refuse(
      'UNSUPPORTED',
      'Cannot update a volume: only cluster volumes can be updated',
      'no cluster volumes',
      'PUT /volumes/:name',
    ),
  ];
}
