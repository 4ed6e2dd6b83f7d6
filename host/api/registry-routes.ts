// What is asked of registries without an image: whether they take a login.
import type { Engine } from '../engine/engine.ts';
import { type Route, readJson, sendJson } from './http.ts';
import { readFields } from './fields.ts';

/** "https://index.docker.io/v1/", "host:5000" → the registry's name. */
function registryOf(address: string): string {
  const host = address.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return host === '' || host === 'index.docker.io' ? 'docker.io' : host;
}

export function registryRoutes({ images }: Engine): Route[] {
  return [
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
