// A log that the engine writes itself: rotated, compressed beside the writing, read as one.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readLogs } from '../../host/engine/logs/logs.ts';
import { openLog } from '../../host/log-file.ts';

describe('a log on this side of a virtual machine', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-log-'));
  const path = join(directory, 'output.log');
  afterAll(() => rmSync(directory, { recursive: true }));
  const lines = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const { data } of readLogs(path, {})) found.push(String(data).trim());
    return found;
  };
  const settled = async (): Promise<string[]> => {
    for (;;) {
      const names = readdirSync(directory).toSorted();
      if (names.every((name) => name === 'output.log' || /^output\.log\.\d+\.gz$/.test(name))) return names;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('is compressed whatever is written and rotated meanwhile, by two lives of a container', async () => {
    const written: string[] = [];
    for (let life = 0; life < 2; life++) {
      const log = openLog({ path, maxSize: 4000, maxFiles: 200, compress: true });
      for (let index = 0; index < 1500; index++) {
        written.push(`life ${life} line ${index} of ${'x'.repeat(index % 50)}.`);
        log.write('stdout', Buffer.from(`${written.at(-1)}\n`));
        if (index % 40 === 0) {
          await new Promise(setImmediate);
          if (index % 400 === 0) expect(await lines()).toEqual(written);
        }
      }
      log.close();
    }
    expect(await lines()).toEqual(written);
    expect((await settled()).length).toBeGreaterThan(40);
    expect(await lines()).toEqual(written);
  });

  it('keeps so many files, and nothing comes back that was rotated out', async () => {
    const other = join(directory, 'few');
    const log = openLog({ path: other, maxSize: 500, maxFiles: 3, compress: true });
    for (let index = 0; index < 400; index++) log.write('stderr', Buffer.from(`line ${index}\n`));
    log.close();
    const files = (): string[] =>
      readdirSync(directory)
        .filter((name) => name.startsWith('few'))
        .toSorted();
    while (files().some((name) => name.endsWith('.new') || /\.\d$/.test(name)))
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(files()).toEqual(['few', 'few.1.gz', 'few.2.gz']);
  });
});
