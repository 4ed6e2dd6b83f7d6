// A registry's search as docker.io has it (/v1/search), behind a login, strict about what it is asked.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface IndexServer {
  /** "127.0.0.1:PORT". */
  host: string;
  /** Queries that were answered. */
  asked: string[];
  close(): void;
}

/** @param login "name:password" that every request must bring. */
export async function startIndex(results: object[], login: string): Promise<IndexServer> {
  const asked: string[] = [];
  const wanted = `Basic ${Buffer.from(login).toString('base64')}`;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost');
    const refuse = (status: number, headers = {}): void => void response.writeHead(status, headers).end();
    if (url.pathname !== '/v1/search' || request.method !== 'GET') return refuse(404);
    if (request.headers.authorization !== wanted) return refuse(401, { 'www-authenticate': 'Basic realm="index"' });
    const count = Number(url.searchParams.get('n'));
    if (!(count >= 1 && count <= 100)) return refuse(400);
    asked.push(url.search);
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        num_results: results.length,
        results: results.slice(0, count),
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
