// `doctor`: what this machine has and lacks, with what to do about it.
import type { Command } from '../command.ts';

interface Check {
  name: string;
  state: 'ok' | 'warning' | 'failed';
  detail: string;
  hint?: string;
}

const marks = { ok: '✓', warning: '!', failed: '✗' } as const;

export const doctor: Command = {
  usage: '[OPTIONS]',
  summary: 'Check what this machine offers to containers',
  flags: [{ name: 'json', kind: 'switch', help: 'Print as JSON' }],
  args: [0, 0],
  async run(parsed, { api }) {
    const checks = await api.send<Check[]>('GET', '/gantry/doctor');
    if (parsed.switch('json')) process.stdout.write(`${JSON.stringify(checks, null, 2)}\n`);
    else
      for (const { name, state, detail, hint } of checks)
        process.stdout.write(
          `${marks[state]} ${name.padEnd(22)}${detail}\n${hint === undefined ? '' : `  Hint: ${hint}\n`}`,
        );
    return checks.some(({ state }) => state === 'failed') ? 1 : 0;
  },
};
