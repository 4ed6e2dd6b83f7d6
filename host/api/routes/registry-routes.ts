// What is asked of registries without an image: whether they take a login, what they have, what a name means there.
import type { Engine } from '../../engine/engine.ts';
import { GantryError } from '../../errors.ts';
import { readFields } from '../fields/fields.ts';
import { readFilters, truthOf } from '../fields/filters.ts';
import { type Call, type Route, readJson, sendJson } from '../http.ts';
import { credentialsOf } from './image-routes.ts';

/** "https://index.docker.io/v1/", "host:5000" → the registry's name. */
function registryOf(address: string): string {
  const host = address.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return host === '' || host === 'index.docker.io' ? 'docker.io' : host;
}

/** Of a filter that counts: the largest value. */
function starsOf(values: string[] = []): number {
  for (const value of values)
    if (!/^-?\d+$/.test(value))
      throw new GantryError('INVALID_ARGUMENT', `Invalid filter 'stars=${value}': it is no whole number`);
  return Math.max(0, ...values.map(Number));
}

export function registryRoutes({ images }: Engine): Route[] {
  const search = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), ['is-automated', 'is-official', 'stars']);
    const [automated, official] = [truthOf(filters, 'is-automated'), truthOf(filters, 'is-official')];
    const stars = starsOf(filters.stars);
    const limit = call.query.get('limit') || '0';
    if (!/^-?\d+$/.test(limit)) throw new GantryError('INVALID_ARGUMENT', `Invalid limit "${limit}": it is no number`);
    const term = call.query.get('term') ?? '';
    const found = await images.search(term, Number(limit), credentialsOf(call.request.headers['x-registry-auth']));
    // Nothing is automated any more, whatever a registry says: docker's rule.
    const wanted = automated
      ? []
      : found.filter((one) => (official === undefined || one.isOfficial === official) && one.stars >= stars);
    sendJson(
      call,
      wanted.map(({ name, description, stars: star_count, isOfficial: is_official }) => ({
        star_count,
        is_official,
        name,
        is_automated: false,
        description,
      })),
    );
  };

  const distribution = async (call: Call): Promise<void> => {
    const credentials = credentialsOf(call.request.headers['x-registry-auth']);
    const { mediaType, digest, size, platforms } = await images.inspectRemote(call.params.name!, credentials);
    sendJson(call, {
      Descriptor: { mediaType, digest, size },
      Platforms: platforms,
    });
  };

  const referrers = async (call: Call): Promise<void> => {
    const filters = readFilters(call.query.get('filters'), ['artifact-type']);
    const [type = '', ...more] = filters['artifact-type'] ?? [];
    if (more.length > 0)
      throw new GantryError(
        'INVALID_ARGUMENT',
        "Invalid filter 'artifact-type': registries filter by one type at a time",
      );
    const name = call.query.get('name') ?? '';
    sendJson(call, await images.referrers(name, type, credentialsOf(call.request.headers['x-registry-auth'])));
  };

  return [
    { method: 'GET', path: '/gantry/referrers', handler: referrers },
    { method: 'GET', path: '/images/search', handler: search },
    { method: 'GET', path: '/distribution/:name*/json', handler: distribution },
    {
      method: 'POST',
      path: '/auth',
      async handler(call) {
        const fields = readFields(await readJson(call), '');
        const identityToken = fields.text('identitytoken');
        await images.checkLogin(registryOf(fields.text('serveraddress')), {
          username: fields.text('username'),
          password: fields.text('password'),
          ...(identityToken === '' ? {} : { identityToken }),
        });
        sendJson(call, { Status: 'Login Succeeded', IdentityToken: '' });
      },
    },
  ];
}
