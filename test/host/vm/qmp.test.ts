// QEMU's control as it is spoken: answers in order, events between them, and a QEMU that ends in the middle.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openQmp, type Qmp } from '../../../host/vm/qmp.ts';

describe.skipIf(process.platform === 'win32')('QMP', () => {
  let directory: string;
  let server: Server;
  let qemu: Socket;
  let qmp: Qmp;
  const events: string[] = [];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-qmp-'));
    server = createServer();
    await once(server.listen(join(directory, 'qmp')), 'listening');
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const socket = connect(join(directory, 'qmp'));
    [qemu] = await connected;
    qemu.on('error', () => {});
    qemu.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
    const opened = openQmp(socket, (event) => events.push(event));
    expect(String((await once(qemu, 'data'))[0])).toBe('{"execute":"qmp_capabilities"}\n');
    qemu.write('{"return": {}}\r\n');
    qmp = await opened;
  });

  afterEach(async () => {
    qmp.close();
    await qmp.closed;
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });

  it('gives each command its answer, however the lines come', async () => {
    const answers = [qmp.execute('query-status'), qmp.execute('migrate', { uri: 'x' })];
    const refused = expect(answers[1]).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'Cannot carry out "migrate" of QEMU: no',
    });
    qemu.write('{"return": {"status": "run');
    qemu.write('ning"}}\r\n{"event": "STOP", "data": {}}\r\n{"error": {"desc": "no"}}\r\n');
    expect(await answers[0]).toEqual({ status: 'running' });
    await refused;
    expect(events).toEqual(['STOP']);
  });

  it('fails what it was asked for where QEMU dies, and nothing else', async () => {
    qemu.pause();
    const answer = qmp.execute('query-status');
    answer.catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    qemu.destroy(); // With bytes that it has not read: ECONNRESET here, not an end.
    await expect(answer).rejects.toMatchObject({ message: expect.stringMatching(/QEMU has ended$/) });
    await qmp.closed;
    await expect(qmp.execute('cont')).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
  });
});
