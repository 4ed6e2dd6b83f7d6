// COMPATIBILITY.md says what the routes say, and names every operation of Docker's own description.
import { expect, it } from 'vitest';
import { committedText, compatibilityText, writeCompatibility } from '../../scripts/gen-compatibility.ts';

if (process.env.UPDATE_GOLDENS) writeCompatibility();

it('COMPATIBILITY.md is what "npx tsx scripts/gen-compatibility.ts" writes', () => {
  expect(committedText()).toBe(compatibilityText());
});

/** Of API 1.51: the paths of each method, so that none is forgotten. */
const described: Record<string, string> = {
  GET: `
    /containers/json /containers/{id}/json /containers/{id}/top /containers/{id}/logs /containers/{id}/changes
    /containers/{id}/export /containers/{id}/stats /containers/{id}/attach/ws /containers/{id}/archive /images/json
    /images/{name}/json /images/{name}/history /images/search /info /version /_ping /events /system/df
    /images/{name}/get /images/get /exec/{id}/json /volumes /volumes/{name} /networks /networks/{id} /plugins
    /plugins/privileges /plugins/{name}/json /nodes /nodes/{id} /swarm /swarm/unlockkey /services /services/{id}
    /services/{id}/logs /tasks /tasks/{id} /tasks/{id}/logs /secrets /secrets/{id} /configs /configs/{id}
    /distribution/{name}/json`,
  POST: `
    /containers/create /containers/{id}/resize /containers/{id}/start /containers/{id}/stop
    /containers/{id}/restart /containers/{id}/kill /containers/{id}/update /containers/{id}/rename
    /containers/{id}/pause /containers/{id}/unpause /containers/{id}/attach /containers/{id}/wait /containers/prune
    /build /build/prune /images/create /images/{name}/push /images/{name}/tag /images/prune /auth /commit
    /images/load /containers/{id}/exec /exec/{id}/start /exec/{id}/resize /volumes/create /volumes/prune
    /networks/create /networks/{id}/connect /networks/{id}/disconnect /networks/prune /plugins/pull
    /plugins/{name}/enable /plugins/{name}/disable /plugins/{name}/upgrade /plugins/create /plugins/{name}/push
    /plugins/{name}/set /nodes/{id}/update /swarm/init /swarm/join /swarm/leave /swarm/update /swarm/unlock
    /services/create /services/{id}/update /secrets/create /secrets/{id}/update /configs/create
    /configs/{id}/update /session`,
  DELETE: `
    /containers/{id} /images/{name} /volumes/{name} /networks/{id} /plugins/{name} /nodes/{id} /services/{id}
    /secrets/{id} /configs/{id}`,
  HEAD: `
    /containers/{id}/archive /_ping`,
  PUT: `
    /containers/{id}/archive /volumes/{name}`,
};

it.each(Object.entries(described))('names every %s of Docker', (method, paths) => {
  const plain = (path: string): string => path.replace(/\{\w+\}/g, '{}');
  const named = new Set(
    [...compatibilityText().matchAll(/^\| (\w+) (\S+) \|/gm)].map((m) => `${m[1]} ${plain(m[2]!)}`),
  );
  expect(
    paths
      .trim()
      .split(/\s+/)
      .filter((path) => !named.has(`${method} ${plain(path)}`)),
  ).toEqual([]);
});
