// What happens to a container over time, through the engine in a guest: health, restarts, logs, copies and images of it.
import { describe, expect, it } from 'vitest';
import { until } from '../helpers/cli.ts';
import type { EngineGuest } from './engine-guest.ts';

export function engineLifeScenarios(of: () => EngineGuest): void {
  describe('a container with a health check, rotated logs and a restart policy', () => {
    const health = async (): Promise<string> => (await of().inspect('patient')).State.Health!.Status;

    it('becomes unhealthy when its check fails', async () => {
      const check = ['--health-cmd', 'test -e /tmp/well', '--health-interval', '200ms', '--health-retries', '2'];
      const logs = ['--log-opt', 'max-size=1k', '--log-opt', 'max-file=2'];
      const script = 'touch /tmp/well; echo one; while read line; do seq 1 100; done < /tmp/more; sleep 1000';
      const setUp = `mkfifo /tmp/more; ${script}`;
      const policy = ['--restart', 'always', '--network', 'none'];
      await of().ok('run', '-d', '--name', 'patient', ...policy, ...check, ...logs, 'box', 'sh', '-c', setUp);
      await until(async () => (await health()) === 'healthy', 'its health');
      await of().ok('exec', 'patient', 'rm', '/tmp/well');
      await until(async () => (await health()) === 'unhealthy', 'its sickness');
    });

    it('keeps the newest lines of its log', async () => {
      const lines = async (): Promise<string[]> => (await of().ok('logs', 'patient')).split('\n');
      await of().ok('exec', 'patient', 'sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do echo; sleep 0.05; done > /tmp/more');
      await until(async () => (await lines()).filter((line) => line === '100').length > 0, 'its lines');
      await until(async () => !(await lines()).includes('one'), 'the rotation');
      expect((await lines()).at(-1)).toBe('100');
    });

    it('is copied from, compared with its image, and becomes an image', async () => {
      expect((await of().ok('diff', 'patient')).split('\n')).toEqual(['C /tmp', 'A /tmp/more']);
      await of().ok('exec', 'patient', 'sh', '-c', 'echo made > /tmp/made; rm /tmp/more /var/www/index.html');
      expect(await of().ok('cp', 'patient:/tmp/made', '-')).toContain('made\n');
      await of().ok('commit', '-c', 'CMD ["sh","-c","cat /tmp/made; ls /var/www"]', 'patient', 'made:1');
      expect(await of().ok('run', '--rm', '--network', 'none', 'made:1')).toBe('made');
    });

    it('that dies while no engine runs is started again by the next one', async () => {
      const pid = (await of().inspect('patient')).State.Pid;
      await of().killEngine();
      await of().guest.ok(`kill -9 ${pid}; while [ -d /proc/${pid} ]; do sleep 0.1; done`);
      await of().startEngine();
      await until(async () => (await of().inspect('patient')).RestartCount === 1, 'its restart');
      await until(async () => (await health()) === 'healthy', 'its health');
      await of().ok('rm', '-f', 'patient');
    });
  });
}
