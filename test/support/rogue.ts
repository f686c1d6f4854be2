// Somebody in the customer's network who pretends to be a connector: announces itself by SSDP, takes TLS connections with
// whatever certificate it has, and writes down everything that is said to it.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { SsdpAnnouncer } from '../../src/discovery/announcer.js';
import { systemClock as clock } from '../../src/kernel/clock.js';
import { minutes } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { Scope, type Stoppable } from '../../src/kernel/scope.js';

export interface RogueOptions {
  readonly ssdpPort: number;
  /** PEM. */
  readonly key: string;
  /** PEM. */
  readonly cert: string;
}

export class Rogue implements Stoppable {
  /** Everything that came in after TLS. */
  readonly heard: Buffer[] = [];
  /** TCP connections; who judges the certificate may leave before the handshake is over here. */
  connections = 0;
  readonly #scope = new Scope();
  readonly #sockets = new Set<TLSSocket>();
  readonly #server: Server;

  private constructor(options: RogueOptions) {
    const { key, cert } = options;
    this.#server = createServer({ key, cert, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    this.#server.on('connection', () => {
      this.connections += 1;
    });
    this.#server.on('secureConnection', (socket) => {
      this.#sockets.add(socket);
      socket.on('data', (bytes: Buffer) => this.heard.push(bytes));
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('tlsClientError', () => undefined);
  }

  static async start(name: string, options: RogueOptions): Promise<Rogue> {
    const rogue = new Rogue(options);
    rogue.#server.listen(0, '127.0.0.1');
    await once(rogue.#server, 'listening');
    rogue.#scope.defer(async () => {
      for (const socket of rogue.#sockets) socket.destroy();
      rogue.#server.close();
      await once(rogue.#server, 'close');
    });
    // It answers at once, to be heard before those who are polite.
    const eager = { uniform: () => 0, bytes: (length: number) => Buffer.alloc(length) };
    const announcer = new SsdpAnnouncer(
      {
        machineId: name,
        port: rogue.port,
        interfaces: ['lo'],
        ssdpPort: options.ssdpPort,
        notifyEvery: minutes(5),
      },
      { clock, random: eager, log: silentLogger },
    );
    await rogue.#scope.own(announcer).start();
    return rogue;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): Promise<void> {
    return this.#scope.stop();
  }
}
