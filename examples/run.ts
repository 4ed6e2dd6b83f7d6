// Runs a container to its end, and shows what a limit changes in the plan. The engine is this user's, started where none runs.
import { Engine, GantryError } from 'gantry';

await using engine = await Engine.connect();
const { exitCode, stdout } = await engine.run({ image: 'gantry/hello', memory: '64m', network: 'none' });
console.log(`exit ${exitCode}, ${stdout.split('\n').length} lines`);

const plans = await Promise.all(
  ['64m', '128m'].map((memory) => engine.plan({ image: 'gantry/hello', memory, network: 'none' })),
);
const [small = [], large = []] = plans.map(({ text }) => text.split('\n'));
console.log(large.filter((line) => !small.includes(line)).join('\n'));

try {
  await engine.run({ image: 'gantry/absent', pull: 'never' });
} catch (error) {
  if (!(error instanceof GantryError)) throw error;
  console.log(error.code);
}
