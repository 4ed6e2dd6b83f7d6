// What `import { test, container } from 'gantry/vitest'` gives: fixtures of vitest that are containers, gone with the test.
import { type TestAPI, test as plain } from 'vitest';
import { type Container, Engine, type StartOptions } from './library.ts';

/** How long a fixture lives: for one test, for the tests of a file, for all files of a worker. */
export type Scope = 'test' | 'file' | 'worker';

/** A fixture for `test.extend`, made when the first test asks for it. */
export type ContainerFixture = [
  (context: { engine: Engine }, use: (container: Container) => Promise<void>) => Promise<void>,
  { scope: Scope },
];

/** A test whose `engine` is opened by what is given, and closed after the file. */
export function createTest(open: () => Promise<Engine>): TestAPI<{ engine: Engine }> {
  return plain.extend<{ engine: Engine }>({
    engine: [
      // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures are wanted.
      async ({}, use) => {
        await using engine = await open();
        await use(engine);
      },
      { scope: 'file' },
    ],
  });
}

/** Vitest's `test` with this user's engine, as {@link Engine.connect} finds it. */
export const test: TestAPI<{ engine: Engine }> = createTest(() => Engine.connect());

/**
 * A container that is started, waited for by `ready`, and removed with its scope; default: one for each test.
 * @example
 * const it = test.extend<{ web: Container }>({ web: container({ image: 'nginx', ports: [80], ready: untilHttp(80) }) });
 */
export function container(options: StartOptions, { scope = 'test' }: { scope?: Scope } = {}): ContainerFixture {
  return [
    async ({ engine }, use) => {
      await using started = await engine.start(options);
      await use(started);
    },
    { scope },
  ];
}
