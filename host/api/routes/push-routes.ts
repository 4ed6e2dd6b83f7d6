// POST /images/:name/push: one tag of a repository, or all of them.
import type { Engine } from '../../engine/engine.ts';
import { type Call, type Route, withProgress } from '../http.ts';
import { credentialsOf, progressJson } from './image-routes.ts';
import { checkPlatform } from '../fields/platform-query.ts';

export function pushRoutes({ images, events }: Engine): Route[] {
  const push = async (call: Call): Promise<void> => {
    const credentials = credentialsOf(call.request.headers['x-registry-auth']);
    const { address, repository, tags } = images.pushable(call.params.name!, call.query.get('tag') ?? '');
    checkPlatform(call.query.get('platform'), await images.find(`${repository}:${tags[0]}`), 'push');
    await withProgress(call, async (line) => {
      line({ status: `The push refers to repository [${address}]` });
      for (const tag of tags) {
        const { digest, size } = await images.push(`${repository}:${tag}`, {
          ...(credentials ? { credentials } : {}),
          progress: (step) => line({ progressDetail: {}, ...progressJson(step) }),
        });
        line({ status: `${tag}: digest: ${digest} size: ${size}` });
        line({ progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: size } });
        events.emit('image', 'push', `${repository}:${tag}`, { name: repository });
      }
    });
  };
  return [{ method: 'POST', path: '/images/:name*/push', handler: push }];
}
