// An engine in this process, and what it tells of a container's life. Nothing runs or is left when the script has ended.
import { Engine } from 'gantry';

await using engine = await Engine.open();
const since = new Date();
{
  await using container = await engine.create({ image: 'gantry/hello', labels: { example: 'yes' }, network: 'none' });
  await container.start();
  for await (const { stream, text } of container.logs({ follow: true }).lines())
    if (text.includes('seccomp')) console.log(`${stream}: ${text.trim()}`);
  console.log(`exit ${await container.wait()}`);
}
for await (const { action } of engine.events({ since, filters: { label: 'example=yes' } })) {
  console.log(action);
  if (action === 'destroy') break;
}
