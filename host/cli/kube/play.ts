// `kube play`: what the file says is checked whole, then carried out over the engine's API; a pod that fails is taken back.
import type { Api } from '../../client/api.ts';
import { GantryError } from '../../errors.ts';
import type { PlannedContainer } from '../../kube/container.ts';
import { readObjects } from '../../kube/objects.ts';
import { infraOf, POD_LABEL, POD_NETWORK, type PlannedPod, VOLUMES_PATH } from '../../kube/pod.ts';
import type { PlannedVolume } from '../../kube/volumes.ts';
import type { Context } from '../command.ts';
import type { Parsed } from '../flags.ts';
import { pullImage } from '../images/pull.ts';
import { waitFor } from '../run/run.ts';
import { containersOf, podsOf, removeNetwork, removePod } from './down.ts';
import { prepareHostPaths } from './host-paths.ts';
import { readDocuments } from './read-file.ts';
import { volumeArchive } from './volume-archive.ts';

export async function runPlay(parsed: Parsed, { api }: Context): Promise<number> {
  const further = (await Promise.all(parsed.list('configmap').map(readDocuments))).flat();
  const { pods, claims, warnings } = readObjects(await readDocuments(parsed.args[0]!), further);
  for (const warning of warnings) process.stderr.write(`WARNING: ${warning}\n`);
  const start = !parsed.has('start') || parsed.switch('start');
  for (const pod of pods) {
    if (!start && pod.inits.length > 0)
      throw new GantryError(
        'UNSUPPORTED',
        `Cannot create pod "${pod.name}" without starting it: it has initContainers`,
        {
          hint: 'They run in order, before the others: leave --start=false out',
        },
      );
    if (parsed.switch('replace')) await removePod(api, pod.name);
    else if ((await containersOf(api, pod.name)).length > 0)
      throw new GantryError('NAME_IN_USE', `Cannot play pod "${pod.name}": it exists`, {
        hint: 'Replace it with --replace, or remove it: gantry kube down FILE',
      });
    await prepareHostPaths(await api.endpoint(), pod.hostPaths);
  }
  if (parsed.switch('replace'))
    for (const owner of new Set(pods.flatMap((pod) => pod.owner ?? [])))
      for (const pod of await podsOf(api, owner)) await removePod(api, pod);
  for (const claim of claims) await makeVolume(api, claim, undefined);
  for (const pod of pods) {
    const ids = await playPod(api, pod, start, parsed.switch('quiet')).catch(async (error: unknown) => {
      await removePod(api, pod.name).catch(() => {});
      await removeNetwork(api).catch(() => {});
      throw error;
    });
    process.stdout.write(`Pod:\n${ids[0]}\n${ids.length === 2 ? 'Container' : 'Containers'}:\n`);
    process.stdout.write(`${ids.slice(1).join('\n')}\n\n`);
  }
  return 0;
}

async function playPod(api: Api, pod: PlannedPod, start: boolean, quiet: boolean): Promise<string[]> {
  for (const one of [...pod.inits, ...pod.containers]) await prepareImage(api, one, quiet);
  if (pod.network) await makeNetwork(api);
  for (const volume of pod.volumes) await makeVolume(api, volume, volume.kept ? undefined : pod.name);
  const infra = await create(api, infraOf(pod));
  const begin = (id: string): Promise<void> => api.send('POST', `/containers/${id}/start`);
  // A tmpfs is there as long as somebody has it mounted.
  if (start) await begin(infra);
  const own = pod.volumes.filter(({ kept }) => !kept);
  if (own.length > 0)
    await api.send('PUT', `/containers/${infra}/archive`, {
      query: { path: VOLUMES_PATH },
      headers: { 'content-type': 'application/x-tar' },
      stream: await volumeArchive(own),
    });
  for (const init of pod.inits) await runInit(api, init);
  const ids: string[] = [];
  for (const one of pod.containers) {
    const id = await create(api, one);
    ids.push(id);
    if (start) await begin(id);
  }
  return [infra, ...ids];
}

async function create(api: Api, { name, body }: PlannedContainer): Promise<string> {
  const { Id, Warnings } = await api.send<{ Id: string; Warnings: string[] | null }>('POST', '/containers/create', {
    query: { name },
    body,
  });
  for (const warning of Warnings ?? []) process.stderr.write(`WARNING: ${name}: ${warning}\n`);
  return Id;
}

/** Runs to its end, and is gone then; the pod fails with it. */
async function runInit(api: Api, init: PlannedContainer): Promise<void> {
  const id = await create(api, init);
  const exit = waitFor(api, `/containers/${id}`, 'next-exit');
  exit.catch(() => {});
  await exit.begun;
  await api.send('POST', `/containers/${id}/start`);
  const status = await exit;
  if (status !== 0) {
    const said = await lastLines(api, id);
    throw new GantryError('INVALID_STATE', `Init container "${init.name}" ended with status ${status}${said}`, {
      hint: 'The pod has been removed; it starts when all its initContainers end with 0',
    });
  }
  await api.send('DELETE', `/containers/${id}`, { query: { force: true, v: true } });
}

async function lastLines(api: Api, id: string): Promise<string> {
  const { Config } = await api.send<{ Config: { Tty: boolean } }>('GET', `/containers/${id}/json`);
  const answer = await api.open('GET', `/containers/${id}/logs`, { query: { stdout: true, stderr: true, tail: 10 } });
  const { createDemultiplexer } = await import('../../client/stdcopy.ts');
  const chunks: Buffer[] = [];
  const take = Config.Tty
    ? (chunk: Buffer) => chunks.push(chunk)
    : createDemultiplexer((_stream, data) => chunks.push(data));
  for await (const chunk of answer) take(chunk as Buffer);
  const text = Buffer.concat(chunks).toString().trimEnd();
  return text === '' ? '' : `:\n  ${text.replace(/\n/g, '\n  ')}`;
}

async function prepareImage(api: Api, { image, name, pull, nonRoot }: PlannedContainer, quiet: boolean): Promise<void> {
  const inspect = (): Promise<{ Config?: { User?: string } }> =>
    api.send('GET', `/images/${image.split('/').map(encodeURIComponent).join('/')}/json`);
  if (pull === 'always') await pullImage(api, image, undefined, quiet);
  const found = await inspect().catch(async (error: unknown) => {
    if (!(error instanceof GantryError) || error.code !== 'IMAGE_NOT_FOUND' || pull === 'never') throw error;
    await pullImage(api, image, undefined, quiet);
    return inspect();
  });
  const user = found.Config?.User?.split(':')[0] ?? '';
  if (nonRoot && !/^[1-9]\d*$/.test(user))
    throw new GantryError(
      'INVALID_ARGUMENT',
      `Cannot run "${name}": runAsNonRoot is true, and the user of "${image}" is ${user === '' ? 'root' : `"${user}"`}`,
      { hint: 'Name a user by number: securityContext.runAsUser' },
    );
}

async function makeNetwork(api: Api): Promise<void> {
  const filters = JSON.stringify({ name: [POD_NETWORK] });
  const found = await api.send<{ Name: string }[]>('GET', '/networks', { query: { filters } });
  if (!found.some(({ Name }) => Name === POD_NETWORK))
    await api.send('POST', '/networks/create', { body: { Name: POD_NETWORK, Driver: 'bridge' } });
}

/** @param pod whose volume it is, and with which it goes; undefined for a claim's. */
async function makeVolume(api: Api, { name, options }: PlannedVolume, pod: string | undefined): Promise<void> {
  if (pod !== undefined) {
    const path = `/volumes/${encodeURIComponent(name)}`;
    const there = await api.send<{ Labels: Record<string, string> | null }>('GET', path).catch((error: unknown) => {
      if (error instanceof GantryError && /NOT_FOUND/.test(error.code)) return undefined;
      throw error;
    });
    // What another pod or a user has written would be in the new pod's directory, links too.
    if (there !== undefined && there.Labels?.[POD_LABEL] !== pod)
      throw new GantryError(
        'NAME_IN_USE',
        `Cannot make volume "${name}" for pod "${pod}": there is another of that name`,
        {
          hint: `Remove it (gantry volume rm ${name}), or name pod or volume otherwise`,
        },
      );
    if (there !== undefined) await api.send('DELETE', path);
  }
  await api.send('POST', '/volumes/create', {
    body: {
      Name: name,
      Driver: 'local',
      DriverOpts: options,
      Labels: pod === undefined ? {} : { [POD_LABEL]: pod },
    },
  });
}
