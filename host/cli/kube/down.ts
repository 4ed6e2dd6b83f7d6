// `kube down`: containers and volumes of the file's pods go; volumes of claims stay.
import type { Api } from '../../client/api.ts';
import { GantryError } from '../../errors.ts';
import { namesOf } from '../../kube/objects.ts';
import { DEPLOYMENT_LABEL, POD_LABEL, POD_NETWORK } from '../../kube/pod.ts';
import type { Context } from '../command.ts';
import type { Parsed } from '../flags.ts';
import { readDocuments } from './read-file.ts';

interface Listed {
  Id: string;
  Names: string[];
  Labels: Record<string, string>;
}

/** The containers of a pod, the one that holds its namespaces last. */
export async function containersOf(api: Api, pod: string): Promise<Listed[]> {
  const filters = JSON.stringify({ label: [`${POD_LABEL}=${pod}`] });
  const found = await api.send<Listed[]>('GET', '/containers/json', { query: { all: true, filters } });
  const isInfra = ({ Names }: Listed): boolean => Names.includes(`/${pod}-infra`);
  return [...found.filter((one) => !isInfra(one)), ...found.filter(isInfra)];
}

/** The pods of a Deployment, however many the file says by now. */
export async function podsOf(api: Api, deployment: string): Promise<string[]> {
  const filters = JSON.stringify({ label: [`${DEPLOYMENT_LABEL}=${deployment}`] });
  const found = await api.send<Listed[]>('GET', '/containers/json', { query: { all: true, filters } });
  return [...new Set(found.flatMap(({ Labels }) => Labels[POD_LABEL] ?? []))].sort();
}

function unless(...codes: string[]): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof GantryError) || !codes.includes(error.code)) throw error;
  };
}

/** @returns the ID of what held its namespaces; undefined where there was nothing. */
export async function removePod(api: Api, pod: string): Promise<string | undefined> {
  const containers = await containersOf(api, pod);
  const stop = async ({ Id }: Listed): Promise<void> => {
    await api.send('POST', `/containers/${Id}/stop`).catch(unless('CONTAINER_NOT_FOUND'));
  };
  await Promise.all(containers.slice(0, -1).map(stop));
  for (const { Id } of containers)
    await api
      .send('DELETE', `/containers/${Id}`, { query: { force: true, v: true } })
      .catch(unless('CONTAINER_NOT_FOUND'));
  const filters = JSON.stringify({ label: [`${POD_LABEL}=${pod}`] });
  const { Volumes } = await api.send<{ Volumes: { Name: string }[] | null }>('GET', '/volumes', { query: { filters } });
  for (const { Name } of Volumes ?? [])
    await api.send('DELETE', `/volumes/${encodeURIComponent(Name)}`).catch(unless('VOLUME_NOT_FOUND'));
  return containers.at(-1)?.Id;
}

/** The network of pods goes with the last of them. */
export async function removeNetwork(api: Api): Promise<void> {
  const filters = JSON.stringify({ label: [POD_LABEL] });
  const left = await api.send<Listed[]>('GET', '/containers/json', { query: { all: true, filters } });
  if (left.length > 0) return;
  await api
    .send('DELETE', `/networks/${POD_NETWORK}`)
    .catch(unless('NETWORK_NOT_FOUND', 'CONTAINER_NOT_FOUND', 'IN_USE', 'PERMISSION_DENIED'));
}

export async function runDown(parsed: Parsed, { api }: Context): Promise<number> {
  const { pods, deployments, claims } = namesOf(await readDocuments(parsed.args[0]!));
  for (const deployment of deployments) pods.push(...(await podsOf(api, deployment)));
  const removed: string[] = [];
  for (const pod of pods) {
    const id = await removePod(api, pod);
    if (id !== undefined) removed.push(id);
  }
  await removeNetwork(api);
  const lines = removed.map((id) => `${id}\n`).join('');
  process.stdout.write(`Pods stopped:\n${lines}Pods removed:\n${lines}`);
  if (!parsed.switch('force')) return 0;
  process.stdout.write('Volumes removed:\n');
  for (const claim of claims) {
    const gone = await api.send('DELETE', `/volumes/${encodeURIComponent(claim)}`).then(
      () => true,
      (error: unknown) => {
        unless('VOLUME_NOT_FOUND', 'CONTAINER_NOT_FOUND')(error);
        return false;
      },
    );
    if (gone) process.stdout.write(`${claim}\n`);
  }
  return 0;
}
