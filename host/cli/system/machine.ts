// `machine start|stop|info|reset`: the virtual machine that containers run in.
import { GantryError } from '../../errors.ts';
import type { Command } from '../command.ts';
import { compileTemplate } from '../format/template.ts';
import { binarySize, decimalSize } from '../format/units.ts';
import { askLine } from '../images/prompt.ts';

interface MachineInfo {
  state: string;
  running?: {
    pid: number;
    accelerator: string;
    memoryMb: number;
    cpus: number;
    resumed: boolean;
    startedAt: string;
    residentBytes?: number;
  };
  diskBytes: number;
  snapshotBytes: number;
  directory: string;
}

const info: Command = {
  usage: '[OPTIONS]',
  summary: 'Display the virtual machine: whether it runs, its size, what it takes of this host',
  flags: [
    { name: 'format', short: 'f', kind: 'value', value: 'string', help: "Format output: 'json' or a Go template" },
  ],
  args: [0, 0],
  async run(parsed, { api }) {
    const found = await api.send<MachineInfo>('GET', '/gantry/machine');
    const wanted = parsed.value('format');
    if (wanted !== undefined) {
      process.stdout.write(`${wanted === 'json' ? JSON.stringify(found) : compileTemplate(wanted)(found)}\n`);
      return 0;
    }
    const { state, running, diskBytes, snapshotBytes, directory } = found;
    const rows: [string, string | number][] = [['State', state]];
    if (running !== undefined) {
      const { pid, accelerator, memoryMb, cpus, resumed, startedAt, residentBytes } = running;
      rows.push(
        ['Started', `${startedAt}, ${resumed ? 'from a snapshot' : 'booted'}`],
        ['Accelerator', accelerator],
        ['CPUs', cpus],
        ['Memory', binarySize(memoryMb * 1024 ** 2)],
        ...(residentBytes === undefined ? [] : [['Resident', binarySize(residentBytes)] as [string, string]]),
        ['QEMU', `pid ${pid}`],
      );
    }
    rows.push(['Disk', decimalSize(diskBytes)], ['Snapshot', decimalSize(snapshotBytes)], ['Directory', directory]);
    process.stdout.write(rows.map(([name, value]) => `${`${name}:`.padEnd(14)}${value}\n`).join(''));
    return 0;
  },
};

const start: Command = {
  usage: '',
  summary: 'Start the virtual machine; containers start it, too, when they need it',
  flags: [],
  args: [0, 0],
  async run(_parsed, { api }) {
    await api.send('POST', '/gantry/machine/start');
    return 0;
  },
};

const stop: Command = {
  usage: '',
  summary: 'Stop all running containers, then the virtual machine',
  flags: [],
  args: [0, 0],
  async run(_parsed, { api }) {
    await api.send('POST', '/gantry/machine/stop');
    return 0;
  },
};

const reset: Command = {
  usage: '[OPTIONS]',
  summary: 'Remove all containers and volumes with the virtual machine; images stay',
  flags: [{ name: 'force', short: 'f', kind: 'switch', help: 'Do not prompt for confirmation' }],
  args: [0, 0],
  async run(parsed, { api }) {
    if (!parsed.switch('force')) {
      if (!process.stdin.isTTY)
        throw new GantryError('INVALID_ARGUMENT', 'Cannot ask whether all containers and volumes may be removed', {
          hint: 'Give --force where there is no terminal',
        });
      process.stdout.write('WARNING! This will remove all containers and volumes, and the disk that they are on.\n');
      const answer = await askLine('Are you sure you want to continue? [y/N] ');
      if (!/^y(es)?$/i.test(answer ?? '')) {
        process.stderr.write('Nothing was removed\n');
        return 1;
      }
    }
    await api.send('POST', '/gantry/machine/reset');
    return 0;
  },
};

export const commands: Record<string, Command> = { info, start, stop, reset };
