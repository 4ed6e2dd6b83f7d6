// GET /containers/:id/attach/ws: a container's streams over a websocket, without frames of docker's own, as by docker.
import type { WebSocket } from 'ws';
import type { Call } from './http.ts';
import type { Hijacked } from './stream.ts';
import { isBefore } from './versions.ts';

/** Of one message; a terminal's are short. */
const MESSAGE_MAX = 1024 * 1024;
/** What may wait for a slow reader before output is held back. */
const WAITING_MAX = 256 * 1024;

/** Answers the handshake and hands the connection over. */
export async function acceptWebSocket({ request, response, upgraded, ...call }: Call): Promise<Hijacked> {
  const { WebSocketServer } = await import('ws');
  const { socket, head } = upgraded!;
  response.detachSocket(socket);
  const server = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_MAX, perMessageDeflate: false });
  const client = await new Promise<WebSocket>((resolve) => server.handleUpgrade(request, socket, head, resolve));
  client.on('error', () => {});
  // What comes before somebody listens would be lost.
  client.pause();
  // Docker's clients read text up to 1.27.
  const options = { binary: !isBefore(call, '1.28') };
  const write = (data: Uint8Array): Promise<void> | undefined => {
    if (client.readyState !== client.OPEN) return undefined;
    if (client.bufferedAmount < WAITING_MAX) {
      client.send(data, options);
      return undefined;
    }
    return new Promise((resolve) => client.send(data, options, () => resolve()));
  };
  return {
    sink: (_raw, wanted) => ({
      output: (stream, data) => (wanted[stream] ? write(data) : undefined),
      end: () => client.close(1000),
    }),
    input(listener) {
      client.on('message', (data: Buffer) => {
        const wait = listener.data(data);
        if (wait === undefined) return;
        client.pause();
        wait.finally(() => client.resume()).catch(() => {});
      });
      client.once('close', () => listener.gone());
      client.resume();
    },
    end: () => client.close(1000),
    fail: (_raw, { message }) => client.close(1011, message.slice(0, 100)),
  };
}
