// Networks of a user on Debian's kernel, whose bridges, veth pairs and nf_tables are modules.
import { describe, expect, it } from 'vitest';
import type { EngineGuest } from './engine-guest.ts';

export function engineNetworkScenarios(of: () => EngineGuest): void {
  describe('networks of a user', () => {
    const fetched = async (url: string): Promise<string> =>
      (await of().gantry('exec', 'visitor', 'wget', '-qO-', url)).output;

    it('bring names and a published port', async () => {
      await of().ok('network', 'create', 'front');
      await of().ok('network', 'create', '--internal', 'closed');
      const web = ['--name', 'web', '--network', 'front', '-p', '8081:80', 'box', 'httpd', '-f', '-h', '/var/www'];
      await of().ok('run', '-d', ...web);
      await of().ok('run', '-d', '--name', 'visitor', '--network', 'front', 'box', 'sleep', '1000');
      expect(await fetched('http://web/')).toBe('served');
      expect(await of().guest.ok('wget -qO- http://127.0.0.1:8081/')).toBe('served');
    });

    it('are entered and left while containers run; an internal one leads nowhere', async () => {
      await of().ok('network', 'connect', 'closed', 'visitor');
      await of().ok('network', 'connect', '--alias', 'www', 'closed', 'web');
      expect(await fetched('http://www.closed/')).toBe('served');
      await of().ok('network', 'disconnect', 'front', 'visitor');
      expect(await of().ok('exec', 'visitor', 'ip', 'route')).toMatch(/^\S+ dev eth1 scope link +src \S+$/);
      expect(await fetched('http://web/')).toBe('served');
      await of().ok('network', 'disconnect', 'closed', 'web');
      expect((await of().gantry('exec', 'visitor', 'nslookup', 'web')).status).toBe(1);
      expect(await of().guest.ok('wget -qO- http://127.0.0.1:8081/')).toBe('served');
    });

    it('go with all that they made', async () => {
      await of().ok('rm', '-f', 'web', 'visitor');
      await of().ok('network', 'rm', 'front', 'closed');
      expect(await of().guest.ok('ip -o link | grep -c "@\\|br-"; true')).toBe('0');
      expect(await of().guest.ok('ps | grep -c "[g]antry-resolver\\|[g]antry-super"; true')).toBe('0');
    });
  });
}
