// /system/df: what everything holds on the disk.
import { diskUsage } from '../../engine/disk-usage.ts';
import type { Engine } from '../../engine/engine.ts';
import { checkValues } from '../fields/filters.ts';
import { cacheJson } from './build-routes.ts';
import { containerSize, imageNames } from './container-list-routes.ts';
import { type Call, type Route, sendJson } from '../http.ts';
import { imageSummaryJson, layersSize, sharedSizes, virtualSize } from './image-list-routes.ts';
import { summaryJson } from '../json/summary-json.ts';
import { volumeJson } from './volume-routes.ts';

const TYPES = ['container', 'image', 'volume', 'build-cache'];

export function diskUsageRoutes(engine: Engine): Route[] {
  const imagesPart = async (call: Call): Promise<object> => {
    const all = await engine.images.list();
    const shared = sharedSizes(all);
    const containers = engine.list();
    const users = (id: string): number => containers.filter(({ record }) => record.config.imageId === id).length;
    return {
      LayersSize: layersSize(all),
      Images: all.map((image) => ({
        ...imageSummaryJson(image, users(image.id), shared.get(image.id)),
        ...virtualSize(call, image),
      })),
    };
  };
  const containersPart = async (): Promise<object> => {
    const nameOf = imageNames(engine);
    const one = async (container: ReturnType<Engine['find']>): Promise<object> =>
      summaryJson(container.record, await nameOf(container.record), await containerSize(engine, container));
    return { Containers: await Promise.all(engine.list().map(one)) };
  };
  const volumesPart = async (): Promise<object> => {
    const mounts = engine.list().flatMap(({ record }) => record.mounts.map(({ name }) => name));
    const found = engine.volumes.list().map(async (volume) => ({
      ...volumeJson(volume),
      UsageData: {
        Size: await diskUsage(volume.path),
        RefCount: mounts.filter((name) => name === volume.name).length,
      },
    }));
    return { Volumes: await Promise.all(found) };
  };
  return [
    {
      method: 'GET',
      path: '/system/df',
      async handler(call) {
        const types = call.query.getAll('type');
        checkValues({ type: types }, 'type', 'object type', TYPES);
        const wants = (type: string): boolean => types.length === 0 || types.includes(type);
        sendJson(call, {
          ...(wants('image') ? await imagesPart(call) : { LayersSize: 0, Images: null }),
          ...(wants('container') ? await containersPart() : { Containers: null }),
          ...(wants('volume') ? await volumesPart() : { Volumes: null }),
          BuildCache: wants('build-cache') ? await cacheJson(engine) : null,
        });
      },
    },
  ];
}
