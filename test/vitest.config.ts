// Three projects: "unit" needs no privileges and takes seconds; "linux" drives this kernel and needs root; "vm" boots guests,
// after the others because it takes both CPUs.
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: [join(import.meta.dirname, 'temporary-files.ts')],
    projects: [
      {
        test: {
          name: 'unit',
          root: 'test',
          include: ['architecture.test.ts', 'core/**/*.test.ts', 'plans/**/*.test.ts', 'host/**/*.test.ts'],
          exclude: ['plans/platforms.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'linux',
          root: 'test',
          include: [
            'linux/**/*.test.ts',
            'runtime/**/*.test.ts',
            'api/**/*.test.ts',
            'clients/**/*.test.ts',
            'e2e/**/*.test.ts',
            'sdk/**/*.test.ts',
            'plans/platforms.test.ts',
          ],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          pool: 'forks',
          poolOptions: { forks: { singleFork: true } },
        },
      },
      {
        test: {
          name: 'vm',
          root: 'test',
          include: ['vm/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          pool: 'forks',
          poolOptions: { forks: { singleFork: true } },
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
