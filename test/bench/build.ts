// A Dockerfile of ten steps by docker's own client, in a fresh state and from the cache: at gantry's engine and at docker's.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { interleave, median } from './measure.ts';
import type { Report } from './report.ts';

const DOCKERFILE = `FROM box
ENV A=1
WORKDIR /app
COPY package /app/package
RUN echo one > /app/one
RUN mkdir -p /app/lib && echo two > /app/lib/two
COPY source /app/source
RUN cat /app/source/* > /app/all
EXPOSE 80
CMD ["cat", "/app/all"]
`;
const FILES = 200;
/** A peer that hangs (dockerd 20.10 loses an exit now and then) does not hold the others up. */
const HANGS_MS = 20_000;

/** @param hosts for DOCKER_HOST; both have the image "box". */
export async function benchBuild(report: Report, hosts: { gantry: string; docker: string | undefined }): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-build-'));
  mkdirSync(join(directory, 'source'));
  writeFileSync(join(directory, 'Dockerfile'), DOCKERFILE);
  writeFileSync(join(directory, 'package'), 'a package\n');
  for (let index = 0; index < FILES; index++)
    writeFileSync(join(directory, 'source', `file-${index}`), `${index}\n`.repeat(200));
  const build =
    (host: string, ...flags: string[]) =>
    (): Promise<number> =>
      new Promise((resolve, reject) => {
        const before = performance.now();
        const env = { ...process.env, DOCKER_HOST: host, DOCKER_BUILDKIT: '0' };
        const words = ['build', '-q', '-t', 'benched', ...flags, directory];
        execFile('docker', words, { env, timeout: HANGS_MS, killSignal: 'SIGKILL' }, (error, _out, stderr) => {
          if (error?.killed) resolve(Number.NaN);
          else if (error) reject(new Error(`docker build at ${host}: ${stderr}`));
          else resolve(performance.now() - before);
        });
      });
  const rounds = report.quick ? 3 : 10;
  try {
    for (const [name, flags] of [
      ['build, ten steps, nothing cached', ['--no-cache']],
      ['build, ten steps, all cached', []],
    ] as const) {
      const runners = [hosts.gantry, hosts.docker].flatMap((host) =>
        host === undefined ? [] : [build(host, ...flags)],
      );
      // The first round fills the caches of both.
      for (const run of runners) await run();
      const [own = [], theirs = []] = await interleave(runners, rounds, 1);
      const peer = hosts.docker === undefined ? undefined : { name: "docker's classic builder", value: median(theirs) };
      report.record(name, 'ms', median(own), peer);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
