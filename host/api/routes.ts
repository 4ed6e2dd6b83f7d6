// Every route of the API, in the order in which they are looked at.
import type { Engine } from '../engine/engine.ts';
import { archiveRoutes } from './routes/archive-routes.ts';
import { buildRoutes } from './routes/build-routes.ts';
import { containerRoutes } from './routes/container-routes.ts';
import { diskUsageRoutes } from './routes/disk-usage-routes.ts';
import { execRoutes } from './routes/exec-routes.ts';
import { gantryRoutes } from './routes/gantry-routes.ts';
import type { Route } from './http.ts';
import { machineRoutes } from './routes/machine-routes.ts';
import { imageRoutes } from './routes/image-routes.ts';
import { networkRoutes } from './routes/network-routes.ts';
import { pushRoutes } from './routes/push-routes.ts';
import { refusedRoutes } from './routes/refused-routes.ts';
import { eventRoutes } from './routes/event-routes.ts';
import { snapshotRoutes } from './routes/snapshot-routes.ts';
import { registryRoutes } from './routes/registry-routes.ts';
import { systemRoutes } from './routes/system-routes.ts';
import { volumeRoutes } from './routes/volume-routes.ts';

export function allRoutes(engine: Engine): Route[] {
  return [
    ...systemRoutes(engine),
    ...eventRoutes(engine),
    ...containerRoutes(engine),
    ...archiveRoutes(engine),
    ...snapshotRoutes(engine),
    ...execRoutes(engine),
    ...buildRoutes(engine),
    ...imageRoutes(engine),
    ...pushRoutes(engine),
    ...registryRoutes(engine),
    ...volumeRoutes(engine),
    ...diskUsageRoutes(engine),
    ...networkRoutes(engine),
    ...gantryRoutes(engine),
    ...machineRoutes(engine),
    // Behind the others: what is carried out is not refused.
    ...refusedRoutes(),
  ];
}
