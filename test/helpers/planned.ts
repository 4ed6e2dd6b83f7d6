// Planned containers on this machine without an engine: the core's plan, the real facts, the real executor.
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planContainer } from '../../host/core/plans.ts';
import { cgroupDirectories } from '../../host/linux/cgroup-layout.ts';
import { createFacts } from '../../host/linux/facts.ts';
import type { HostFacts, Plan, PlanRequest } from '../../host/plan-types.ts';
import { type Outcome, runPlan, startExecutor } from './executor.ts';
import { planRequest } from './plan-requests.ts';

export interface Planned {
  facts: HostFacts;
  directory: string;
  /** A directory for this container, with upper/ and its exit record. */
  plan(command: string[], change?: (request: PlanRequest) => void): { own: string; plan: Plan };
  run(plan: Plan): Promise<Outcome>;
  /** The recorded exit. */
  record(own: string): { exitCode: number; oomKilled: boolean };
  close(): Promise<void>;
}

/**
 * @param tree the image: one layer.
 * @param devices host devices whose numbers planning needs.
 * @param cgroup another view of this machine's cgroups.
 */
export async function createPlanned(
  tree: string,
  devices: string[] = [],
  cgroup?: HostFacts['cgroup'],
): Promise<Planned> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-planned-'));
  const parent = `gantry-planned-${process.pid}`;
  const found = await createFacts()(devices);
  const facts = cgroup === undefined ? found : { ...found, cgroup };
  for (const name of ['run', 'empty', 'empty-mask']) mkdirSync(join(directory, name));
  for (const name of ['hosts', 'hostname', 'resolv.conf']) writeFileSync(join(directory, name), `${name}\n`);
  const socket = join(directory, 'executor.sock');
  const executor = await startExecutor(socket);
  let count = 0;
  return {
    facts,
    directory,
    plan(command, change = () => {}) {
      const own = join(directory, `container-${++count}`);
      for (const name of ['upper', 'work']) mkdirSync(join(own, name), { recursive: true });
      const request = planRequest(facts, (made) => {
        made.id = `planned-${process.pid}-${count}`;
        made.container.command = command;
        made.container.host.cgroupParent = parent;
        made.rootfs = { lower: [tree], upper: join(own, 'upper'), work: join(own, 'work'), volatile: true };
        made.paths = {
          hosts: '',
          hostname: '',
          resolvConf: '',
          controlSocket: join(directory, 'run', `${count}.sock`),
          log: join(own, 'log'),
          exitRecord: join(own, 'exit.json'),
          init: '',
          emptyDirectory: join(directory, 'empty'),
        };
        change(made);
      });
      return { own, plan: planContainer(request) };
    },
    run: (plan) => runPlan(socket, plan),
    record: (own) => JSON.parse(readFileSync(join(own, 'exit.json'), 'utf8')),
    async close() {
      await executor.stop();
      // Fails where a container's cgroup is left below.
      for (const path of cgroupDirectories(facts.cgroup, parent, '')) rmdirSync(path);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
