// Prints "LAYOUT ARCHITECTURE DIGEST NAME" of every golden configuration: bundled, and run by other Nodes and other systems.
import { createHash } from 'node:crypto';
import { explainPlan, planDigest } from '../../host/core/plan-text.ts';
import { planContainer } from '../../host/core/plans.ts';
import { hostFacts, planRequest } from '../helpers/plan-requests.ts';
import { configurations } from './configurations.ts';

const lines: string[] = [];
const texts = createHash('sha256');
for (const layout of ['v1', 'v2'] as const)
  for (const architecture of ['x86_64', 'aarch64'] as const)
    for (const [name, change] of Object.entries(configurations)) {
      let digest = 'refused';
      try {
        const plan = planContainer(planRequest(hostFacts(layout, architecture), change));
        digest = planDigest(plan);
        texts.update(explainPlan(plan)).update(JSON.stringify(plan.spec));
      } catch (error) {
        texts.update((error as Error).message);
      }
      lines.push(`${layout} ${architecture} ${digest} ${name}`);
    }
lines.push(`texts ${texts.digest('hex')}`, `on ${process.platform} ${process.version}`);
process.stdout.write(`${lines.join('\n')}\n`);
