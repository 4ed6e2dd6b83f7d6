// `matrix`: a command over images, platforms and variables, its cells packed onto the engine's machine.
import type { Command } from '../command.ts';

export const matrix: Command = {
  usage: '[OPTIONS]',
  summary: 'Run a command over images, platforms and variables, side by side',
  flags: [
    {
      name: 'file',
      short: 'f',
      kind: 'value',
      value: 'path',
      help: 'What to run; "-" is standard input (default "matrix.yml")',
    },
    {
      name: 'filter',
      kind: 'list',
      value: 'axis=value',
      help: 'Only cells with this value; again for alternatives and further axes',
    },
    { name: 'jobs', short: 'j', kind: 'value', value: 'int', help: 'Most cells at a time (default: as many as fit)' },
    { name: 'cpus', kind: 'value', value: 'decimal', help: "CPUs to fill (default: the machine's)" },
    {
      name: 'memory',
      short: 'm',
      kind: 'value',
      value: 'bytes',
      help: "Memory to fill (default: nine tenths of the machine's)",
    },
    { name: 'fail-fast', kind: 'switch', help: 'Stop all cells once one has failed' },
    { name: 'dry-run', kind: 'switch', help: 'Print the cells and how they are packed' },
    { name: 'logs', kind: 'value', value: 'directory', help: 'Write the output of each cell to a file of its own' },
    { name: 'junit', kind: 'value', value: 'path', help: "Write a report in JUnit's XML" },
    { name: 'json', kind: 'value', value: 'path', help: 'Write a report in JSON; "-" is standard output' },
    { name: 'github', kind: 'switch', help: 'Annotations and step summary (default: where GITHUB_ACTIONS is true)' },
    { name: 'progress', kind: 'value', value: 'string', help: 'Type of progress output ("auto", "plain", "tty")' },
  ],
  args: [0, 0],
  run: async (parsed, context) => (await import('./run-matrix.ts')).runMatrix(parsed, context),
};
