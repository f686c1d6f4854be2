// Real servers on loopback for tests of sensors that watch services. All end with their test.
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp, type Server, type Socket } from 'node:net';

export interface Listening extends AsyncDisposable {
  readonly port: number;
}

async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    // What the client does to its end is the client's business.
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export const tcpServer = (onConnection: (socket: Socket) => void) => listen(createTcp(onConnection));
export const httpServer = (onRequest: RequestListener) => listen(createHttp(onRequest));
export const httpsServer = (keys: { cert: string; key: string }, onRequest: RequestListener) =>
  listen(createHttps(keys, onRequest));

/** A port of loopback on which nobody listens. */
export async function closedPort(): Promise<number> {
  await using server = await tcpServer(() => undefined);
  return server.port;
}
