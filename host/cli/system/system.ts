// `info`, `version`.
import os from 'node:os';
import { GantryError } from '../../errors.ts';
import type { Command } from '../command.ts';
import { compileTemplate } from '../format/template.ts';
import { binarySize } from '../format/units.ts';

export const VERSION = '0.1.0';
const API = '1.51';
const format = {
  name: 'format',
  short: 'f',
  kind: 'value',
  value: 'string',
  help: "Format output: 'json' or a Go template",
} as const;

export const version: Command = {
  usage: '[OPTIONS]',
  summary: 'Show the version information',
  flags: [format],
  args: [0, 0],
  async run(parsed, { api }) {
    const { coreVersion } = await import('../../core/core.ts');
    const Os = os.platform();
    const Client = {
      Version: VERSION,
      APIVersion: API,
      Os,
      Arch: os.arch() === 'x64' ? 'amd64' : os.arch(),
      PlanFormat: coreVersion(),
      Node: process.version,
    };
    const server = await api
      .send<{ Version: string; ApiVersion: string }>('GET', '/version')
      .catch((error: unknown) => {
        if (error instanceof GantryError && parsed.value('format') === undefined) return error;
        throw error;
      });
    const wanted = parsed.value('format');
    if (wanted !== undefined) {
      const { ApiVersion: APIVersion, MinAPIVersion } = server as { ApiVersion: string; MinAPIVersion?: string };
      const value = { Client, Server: { ...server, APIVersion, MinAPIVersion } };
      process.stdout.write(`${wanted === 'json' ? JSON.stringify(value) : compileTemplate(wanted)(value)}\n`);
      return 0;
    }
    process.stdout.write(`Client: gantry ${VERSION}, plan format ${Client.PlanFormat}, Node ${process.version}\n`);
    if (server instanceof GantryError) {
      process.stderr.write(`gantry: ${server.message}\n${server.hint ? `Hint: ${server.hint}\n` : ''}`);
      return 1;
    }
    process.stdout.write(
      `Engine: gantry ${server.Version}, API ${server.ApiVersion} at ${(await api.endpoint()).name}\n`,
    );
    return 0;
  },
};

interface Info {
  Name: string;
  Containers: number;
  ContainersRunning: number;
  ContainersPaused: number;
  ContainersStopped: number;
  Images: number;
  ServerVersion: string;
  Driver: string;
  DriverStatus: [string, string][] | null;
  DockerRootDir: string;
  CgroupVersion: string;
  KernelVersion: string;
  Architecture: string;
  NCPU: number;
  MemTotal: number;
  Warnings: string[] | null;
}

export const info: Command = {
  usage: '[OPTIONS]',
  summary: 'Display system-wide information',
  flags: [format],
  args: [0, 0],
  async run(parsed, { api }) {
    const found = await api.send<Info>('GET', '/info');
    const wanted = parsed.value('format');
    if (wanted !== undefined) {
      process.stdout.write(`${wanted === 'json' ? JSON.stringify(found) : compileTemplate(wanted)(found)}\n`);
      return 0;
    }
    const rows: [string, string | number][] = [
      ['Engine', found.ServerVersion],
      [
        'Containers',
        `${found.Containers} (${found.ContainersRunning} running, ${found.ContainersPaused} paused, ${found.ContainersStopped} stopped)`,
      ],
      ['Images', found.Images],
      ['Storage', `${found.Driver} in ${found.DockerRootDir}`],
      ...(found.DriverStatus ?? []),
      ['Cgroups', `version ${found.CgroupVersion}`],
      ['Kernel', found.KernelVersion],
      ['Architecture', found.Architecture],
      ['CPUs', found.NCPU],
      ['Memory', binarySize(found.MemTotal)],
      ['Socket', (await api.endpoint()).name],
    ];
    process.stdout.write(rows.map(([name, value]) => `${`${name}:`.padEnd(14)}${value}\n`).join(''));
    for (const warning of found.Warnings ?? []) process.stderr.write(`WARNING: ${warning}\n`);
    return 0;
  },
};
