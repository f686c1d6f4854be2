// For people who point a browser, curl or a load balancer's probe at a gRPC port: a short answer in words.
import { createServer, type Server, STATUS_CODES } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../kernel/clock.js';
import type { Duration } from '../kernel/duration.js';

const TEXT = `This port speaks gRPC: HTTP/2 over TLS. There is nothing to see for a browser.
The services tell about themselves by server reflection (grpcurl, buf curl).
`;

/** Answers every request of a socket; the socket is closed after one request, and after `patience` in any case. */
export class Signpost {
  readonly #server: Server;

  constructor(
    private readonly patience: Duration,
    private readonly clock: Clock,
  ) {
    this.#server = createServer((request, response) => {
      request.resume();
      // 426 and an Upgrade header say it to programs, too (RFC 9110 section 15.5.22).
      response.writeHead(426, STATUS_CODES[426], {
        'content-type': 'text/plain; charset=utf-8',
        'content-length': Buffer.byteLength(TEXT),
        upgrade: 'h2',
        connection: 'close, upgrade',
      });
      response.end(TEXT);
    });
    // Its default answer is a 400 without a word; the socket's owner logs the rest.
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  answer(socket: TLSSocket): void {
    const impatience = this.clock.after(this.patience, () => socket.destroy());
    socket.once('close', () => impatience.disarm());
    this.#server.emit('connection', socket);
  }
}
