// Every route of the API, in the order in which they are looked at.
import type { Engine } from '../engine/engine.ts';
import { archiveRoutes } from './archive-routes.ts';
import { containerRoutes } from './container-routes.ts';
import { diskUsageRoutes } from './disk-usage-routes.ts';
import { execRoutes } from './exec-routes.ts';
import { gantryRoutes } from './gantry-routes.ts';
import type { Route } from './http.ts';
import { imageRoutes } from './image-routes.ts';
import { networkRoutes } from './network-routes.ts';
import { pushRoutes } from './push-routes.ts';
import { refusedRoutes } from './refused-routes.ts';
import { eventRoutes } from './event-routes.ts';
import { snapshotRoutes } from './snapshot-routes.ts';
import { registryRoutes } from './registry-routes.ts';
import { systemRoutes } from './system-routes.ts';
import { volumeRoutes } from './volume-routes.ts';

export function allRoutes(engine: Engine): Route[] {
  return [
    ...systemRoutes(engine),
    ...eventRoutes(engine),
    ...containerRoutes(engine),
    ...archiveRoutes(engine),
    ...snapshotRoutes(engine),
    ...execRoutes(engine),
    ...imageRoutes(engine),
    ...pushRoutes(engine),
    ...registryRoutes(engine),
    ...volumeRoutes(engine),
    ...diskUsageRoutes(engine),
    ...networkRoutes(engine),
    ...gantryRoutes(engine),
    // Behind the others: what is carried out is not refused.
    ...refusedRoutes(),
  ];
}
